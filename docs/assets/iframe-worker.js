// Search runs in a Worker, which a browser refuses to a page opened from a folder. There a hidden
// frame takes its place. (The theme would load such a script from elsewhere.)
if (location.protocol === "file:")
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      frame.style.display = "none"
      document.body.append(frame)
      this.inner = frame.contentWindow
      this.inner.answer = data => this.dispatchEvent(new MessageEvent("message", { data }))
      this.ready = new Promise(done => (this.inner.ready = done))
      const page = this.inner.document
      page.open()
      page.write(
        "<script>postMessage = answer<\/script>",
        `<script src="${url}" onload="ready()"><\/script>`,
      )
      page.close()
    }
    postMessage(data) {
      this.ready.then(() => this.inner.dispatchEvent(new MessageEvent("message", { data })))
    }
    terminate() {}
  }
