"""What descriptions of coded files are likely to say: DEFLATE refers to it. Part of format 1."""

DICTIONARY = (
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
