// Scroll to the result when it is requested and when it is there: on phones it is below the inputs.
"use strict";
window.showResult = () => requestAnimationFrame(() => {
  const result = document.getElementById("result");
  const { top } = result.getBoundingClientRect();
  if (top >= -1 && top < window.innerHeight / 3) return;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  result.scrollIntoView({ behavior: still ? "instant" : "smooth", block: "start" });
});
