// Show the depth under the pointer. The images are `#compare img`; the depth values are in the data of `#depth`.
"use strict";
(() => {
  let label = null;
  let cached = { text: "", values: null };  // the depth map decoded last

  function values(data) {
    if (cached.text !== data.depth) {
      const bytes = Uint8Array.from(atob(data.depth), (letter) => letter.charCodeAt(0));
      cached = { text: data.depth, values: new Uint16Array(bytes.buffer) };
    }
    return cached.values;
  }

  // Bounding box of the visible image: `object-fit: contain` can leave margins in the element.
  function pictureBox(image) {
    const box = image.getBoundingClientRect();
    const fitted = getComputedStyle(image).objectFit === "contain";
    const scale = fitted ? Math.min(box.width / image.naturalWidth, box.height / image.naturalHeight) : 0;
    const width = fitted ? image.naturalWidth * scale : box.width;
    const height = fitted ? image.naturalHeight * scale : box.height;
    return { left: box.left + (box.width - width) / 2, top: box.top + (box.height - height) / 2, width, height };
  }

  function depthAt(x, y) {
    const image = document.querySelector("#compare img"), holder = document.getElementById("depth");
    if (!image || !image.naturalWidth || !holder) return null;
    const box = pictureBox(image);
    const u = (x - box.left) / box.width, v = (y - box.top) / box.height;
    if (u < 0 || v < 0 || u >= 1 || v >= 1) return null;
    const depths = values(holder.dataset), width = Number(holder.dataset.width);
    const row = Math.floor((v * depths.length) / width), column = Math.floor(u * width);
    return `${(depths[row * width + column] / 100).toFixed(2)} ${holder.dataset.unit}`;
  }

  function showDepth(event) {
    const inside = event.target instanceof Element && event.target.closest("#compare");
    const text = inside ? depthAt(event.clientX, event.clientY) : null;
    if (!label) {
      label = document.createElement("div");
      label.id = "metres";
      label.setAttribute("role", "status");
      document.body.append(label);
    }
    label.hidden = text === null;
    if (text === null) return;
    label.textContent = text;
    label.style.left = `${Math.min(event.clientX + 14, window.innerWidth - label.offsetWidth - 4)}px`;
    label.style.top = `${Math.max(event.clientY - 34, 4)}px`;
  }

  // Hide the depth of the previous picture, also if the pointer does not move.
  new MutationObserver(() => {
    const holder = document.getElementById("depth");
    if (label && !label.hidden && (!holder || holder.dataset.depth !== cached.text)) label.hidden = true;
  }).observe(document.documentElement, { childList: true, subtree: true });

  for (const name of ["pointermove", "pointerdown"]) document.addEventListener(name, showDepth, true);
})();
