"""What descriptions of coded files are likely to say: DEFLATE refers to it. Part of the formats."""

_FIRST = (
    b'"relu""softmax""classes":10,"classes":1000"size":"colours":1"colours":3"channels":'
    b'"hidden":[512,512]"identities":0"blocks":[[16,16],[32,32],[64,64],[128,128]]'
    b'"accuracy":"dataset":"mnist""cifar10""lfw""method":"taylor""pls""magnitude""fpgm"'
    b"layer1.0.conv1.layer2.0.bn1.layer3.0.downsample.features.classifier.block.head.fc.norm."
    b'"num_batches_tracked",[],"i8"],["running_mean",["running_var",["norm1_1.weight",'
    b'["conv1_1.weight",["conv1_2.bias",["conv2_1.weight",[64,32,3,3],"s2"],["fc1_norm.bias",'
    b'["conv1.weight",[20,1,5,5],"s2"],["conv1.bias",[20],"f2"],["conv2.weight",[50,20,5,5],"s2"],'
    b'["conv2.bias",[50],"f2"],["fc1.weight",[512,800],"s2"],["fc1.bias",[512],"f2"],'
    b'["fc2.weight",[10,512],"s2"],["fc2.bias",[10],"f2"]],"o":{}}'
    b'"members":{"fc1":[{"name":"fc1","side":"out","start":0,"each":1},{"name":"fc2","side":"in",'
    b'"side":"along","side":"count"}]}'
    b'{"f":"maxprune.networks.lenet:lenet5","a":{"fc":512,"conv":[20,50],"dropout":"conv"},'
    b'"p":[{"kind":"maxout","layer":"conv2","k":4},{"kind":"keep","neurons":{"fc1":512},'
    b'"keep":{"fc1":[128,1]},"method":"maxout wins","members":{}}],"t":[["'
)

_SECOND = (
    _FIRST[: _FIRST.index(b'"members":{')]
    + b'"10.weight",["5.weight",["4.bias",["8.bias",["2.weight",[64,64,3,3],"c2"],["2.bias",[64],'
    b'["1.weight",["6.weight",["8.weight",["11.weight",["conv3.weight",[128,256],"c2"],["fc3.'
    b'"0":"16/32","2":"8/16","3":"9/50","4":"6/8","6":"10/64","7":"27/500""0":"2","2":"4*9",'
    b'"3":"7*16","4":"6*49","7":"9"["bn1","fc1*49"],"method":"damage""conv1":"12/20","conv2":"9/50"'
    b',"fc1":"27/500"},"members":{"conv1":"conv2","conv2":"fc1*16","fc1":"fc2"}'
    b'["conv1.weight",[20,1,5,5],"c2"],["conv1.bias",[20],"f1"],["conv2.weight",[50,20,5,5],"c1"],'
    b'["conv2.bias",[50],"f1"],["fc1.weight",[512,800],"c1"],["fc1.bias",[512],"f1"],'
    b'["fc2.weight",[10,512],"c1"],["fc2.bias",[10],"f1"]],"o":{}}],"t":[["0.weight",[12,1,5,5],"c1"]'
    b',["0.bias",[12],"f1"],["3.weight",[9,12,5,5],"c1"],["3.bias",[9],"f1"],["7.weight",[27,144],'
    b'"c1"],["7.bias",[27],"f1"],["9.weight",[10,27],"c1"],["9.bias",[10],"f1"]]}'
    b'{"f":"maxprune.networks.lenet:lenet5","a":{"fc":512,"conv":[20,50],"dropout":"conv"},'
    b'"p":[{"kind":"maxout","layer":"conv2","k":4},{"f":"net:build","a":{},"p":[{"keep":{"0":'
    b'"12/20"'
)

DICTIONARIES = {1: _FIRST, 2: _SECOND}
"""By the format of the file."""
