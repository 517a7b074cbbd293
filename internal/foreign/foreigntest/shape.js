// What the elements and attributes below an element are, without the text in them: text of others must leave it alone.
// Of attributes that are ours alone the value counts too, and so does an address that a click would run.
window.portalShape = (root) => {
  const ours = /^(hx-(?!target$)|type$|method$|role$|rel$|tabindex$|data-rel$|http-equiv$|autofocus$|name$)/;
  const address = /^(href|src|action|formaction|xlink:href|data|poster|ping|srcset)$/;
  const harmless = /^(https?|about|mailto|tel|ftps?):$/;
  const runs = (value) => {
    try { return !harmless.test(new URL(value, location.href).protocol); } catch { return false; }
  };
  // Not node.attributes: a form answers with its field of that name.
  const of = (node, kind, name) => Reflect.get(kind.prototype, name, node);
  let out = "";
  const look = (node) => {
    if (node instanceof Comment || node instanceof ProcessingInstruction) out += "!";
    if (!(node instanceof Element)) return;
    const tag = of(node, Element, "localName");
    out += "<" + of(node, Element, "namespaceURI").slice(-4) + ":" + tag;
    for (const a of [...of(node, Element, "attributes")].sort((a, b) => a.name < b.name ? -1 : 1)) {
      out += " " + a.name;
      if (ours.test(a.name) && !(a.name === "name" && tag === "input" && node.type === "hidden")) out += "=" + a.value;
      if (address.test(a.name) && runs(a.value)) out += "=RUNS";
    }
    out += ">";
    const template = node instanceof HTMLTemplateElement ? node.content : null;
    for (const inner of [of(node, Element, "shadowRoot"), template, node]) if (inner) of(inner, Node, "childNodes").forEach(look);
    out += "/";
  };
  look(root);
  return out;
};

// Of a live page, the shape after each message of its stream.
window.portalShapes = [];
document.addEventListener("htmx:sse:after:message", (e) => {
  if (!e.detail.message?.event) portalShapes.push(["app-live", "board-live", "deploy-live"].map((id) => portalShape(document.getElementById(id))).join());
});
