// Point-cloud viewer: z-buffer rendering on a 2D canvas. Points are in the camera frame: x right, y down, z forward.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("cloud-data").textContent);
  const canvas = document.getElementById("points");
  const context = canvas.getContext("2d");
  const MAX_WIDTH = 1100;  // canvas pixels, also on high-resolution screens: keeps rotation smooth
  const VIEW = { yaw: 0, pitch: 0.12, zoom: 1 };  // of the camera, slightly raised
  const GAP = 0.02;  // of the canvas height, largest gap that is closed in a dense cloud
  const SURFACE = 1.1;  // ratio of depths; the two sides of a gap in a surface differ by less
  const MARGIN = 1.04;  // canvas size over scene size

  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

  function decode(cloud) {
    const view = new DataView(bytes(cloud.positions).buffer);
    const positions = new Float32Array(3 * cloud.count);
    for (let i = 0; i < positions.length; i++) positions[i] = view.getInt16(2 * i, true) * cloud.unit;
    return { count: cloud.count, spacing: cloud.spacing, dense: cloud.dense, positions, colours: bytes(cloud.colours) };
  }

  const clouds = {};
  for (const name of Object.keys(data.clouds)) clouds[name] = decode(data.clouds[name]);
  let shown = Object.values(clouds)[0];
  const pivot = middle(shown);
  const scene = limits(shown);
  let view = { ...VIEW };
  let scheduled = false;

  // Centre of rotation: the point on the optical axis at the median depth.
  function middle(cloud) {
    const depths = [];
    for (let i = 0; i < cloud.count; i++) depths.push(cloud.positions[3 * i + 2]);
    depths.sort((a, b) => a - b);
    return [0, 0, depths.length ? depths[depths.length >> 1] : 1];
  }

  // Coordinates of a point in the view: right, down and ahead of its camera.
  function place(positions, i, { yaw, pitch, zoom }) {
    const x = positions[3 * i] - pivot[0], y = positions[3 * i + 1] - pivot[1], z = positions[3 * i + 2] - pivot[2];
    const ahead = Math.cos(yaw) * z - Math.sin(yaw) * x;
    return [
      Math.cos(yaw) * x + Math.sin(yaw) * z,
      Math.cos(pitch) * y - Math.sin(pitch) * ahead,
      Math.sin(pitch) * y + Math.cos(pitch) * ahead + pivot[2] / zoom,
    ];
  }

  // What the first view shows of a cloud, at focal length 1: the middle 99 % of the points.
  function limits(cloud) {
    const columns = [], rows = [];
    for (let i = 0; i < cloud.count; i++) {
      const [x, y, depth] = place(cloud.positions, i, VIEW);
      if (depth > 0.02 * pivot[2]) { columns.push(x / depth); rows.push(y / depth); }
    }
    const span = (values) => {
      if (!values.length) return { middle: 0, size: 1 };
      values.sort((a, b) => a - b);
      const low = values[Math.floor(0.005 * (values.length - 1))], high = values[Math.ceil(0.995 * (values.length - 1))];
      return { middle: (low + high) / 2, size: Math.max(high - low, 1e-3) };
    };
    return { columns: span(columns), rows: span(rows) };
  }

  function resize() {
    const scale = Math.min(window.devicePixelRatio || 1, MAX_WIDTH / Math.max(canvas.clientWidth, 1));
    canvas.width = Math.max(1, Math.round(canvas.clientWidth * scale));
    canvas.height = Math.max(1, Math.round(canvas.clientHeight * scale));
    redraw();
  }

  function redraw() {
    if (scheduled) return;
    scheduled = true;
    requestAnimationFrame(() => { scheduled = false; draw(); });
  }

  function draw() {
    const { width, height } = canvas;
    const picture = context.createImageData(width, height);
    const pixels = new Uint32Array(picture.data.buffer);  // 0 is transparent
    const nearest = new Float32Array(width * height).fill(Infinity);
    const focal = Math.min(width / scene.columns.size, height / scene.rows.size) / MARGIN;
    const middleColumn = width / 2 - focal * scene.columns.middle, middleRow = height / 2 - focal * scene.rows.middle;
    const { count, spacing, positions, colours } = shown;
    for (let i = 0; i < count; i++) {
      const [across, down, depth] = place(positions, i, view);
      if (depth < 0.02 * pivot[2]) continue;
      const column = middleColumn + (focal * across) / depth, row = middleRow + (focal * down) / depth;
      const size = 2.5 * spacing * positions[3 * i + 2];  // neighbouring points overlap when seen from the camera
      const half = Math.min(Math.max((0.5 * size * focal) / depth, 0.5), 8);
      const left = Math.max(0, Math.ceil(column - half)), right = Math.min(width, Math.ceil(column + half));
      const top = Math.max(0, Math.ceil(row - half)), bottom = Math.min(height, Math.ceil(row + half));
      const colour = 0xff000000 | (colours[3 * i + 2] << 16) | (colours[3 * i + 1] << 8) | colours[3 * i];
      for (let v = top; v < bottom; v++) {
        for (let u = left; u < right; u++) {
          const at = v * width + u;
          if (depth < nearest[at]) { nearest[at] = depth; pixels[at] = colour; }
        }
      }
    }
    if (shown.dense) closeGaps(pixels, nearest, width, height);
    context.putImageData(picture, 0, 0);
  }

  // Close gaps between the rows of points of a surface, which is seen more steeply than by the camera.
  function closeGaps(pixels, nearest, width, height) {
    const most = Math.ceil(GAP * height) + 1;
    for (let column = 0; column < width; column++) {
      let above = -1;  // pixel of the last point
      for (let at = column, row = 0; row < height; at += width, row++) {
        if (nearest[at] === Infinity) continue;
        const ratio = above < 0 ? Infinity : nearest[at] / nearest[above];
        if (ratio < SURFACE && ratio > 1 / SURFACE && at - above <= most * width) {
          for (let gap = above + width; gap < at; gap += width) pixels[gap] = pixels[at];
        }
        above = at;
      }
    }
  }

  function rotate(yaw, pitch) {
    view.yaw += yaw;
    view.pitch = Math.min(Math.max(view.pitch + pitch, -1.5), 1.5);
    redraw();
  }

  function zoom(factor) {
    view.zoom = Math.min(Math.max(view.zoom * factor, 0.15), 12);
    redraw();
  }

  function reset() {
    view = { ...VIEW };
    redraw();
  }

  const pointers = new Map();  // pressed pointers: id -> position
  const spread = () => {
    const [a, b] = [...pointers.values()];
    return Math.hypot(a.x - b.x, a.y - b.y);
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  });
  canvas.addEventListener("pointermove", (event) => {
    const last = pointers.get(event.pointerId);
    if (!last) return;
    const before = pointers.size === 2 ? spread() : 0;
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (pointers.size === 1) rotate((last.x - event.clientX) * 0.006, (event.clientY - last.y) * 0.006);
    else if (before > 0) zoom(spread() / before);
  });
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, (event) => pointers.delete(event.pointerId));
  }
  canvas.addEventListener("wheel", (event) => {
    if (document.activeElement !== canvas) return;  // otherwise the canvas would capture page scrolling
    event.preventDefault();
    zoom(Math.exp(-event.deltaY * 0.0015));
  }, { passive: false });

  const KEYS = {
    ArrowLeft: () => rotate(0.1, 0), ArrowRight: () => rotate(-0.1, 0), ArrowUp: () => rotate(0, -0.1),
    ArrowDown: () => rotate(0, 0.1), "+": () => zoom(1.15), "=": () => zoom(1.15), "-": () => zoom(1 / 1.15), "0": reset,
  };
  canvas.addEventListener("keydown", (event) => {
    const act = KEYS[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  });
  for (const choice of document.querySelectorAll("input[name=which]")) {
    choice.addEventListener("change", () => { shown = clouds[choice.value]; redraw(); });
  }
  document.getElementById("reset").addEventListener("click", reset);
  new ResizeObserver(resize).observe(canvas);
})();
