() => [...document.querySelectorAll(".stage .card, .stage .task")].flatMap((card) => {
  const box = card.querySelector("rect").getBoundingClientRect();
  const texts = [...card.querySelectorAll("text")].filter((one) => one.textContent).map((one) => [one.getBoundingClientRect(), one.textContent]);
  const outside = texts.filter(([at]) => at.left < box.left || at.right > box.right + 1 || at.bottom > box.bottom + 1);
  const crossing = texts.flatMap(([a, x], n) => texts.slice(n + 1).filter(([b]) =>
    a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 4 && b.top < a.bottom - 4).map(([, y]) => [null, `${x} / ${y}`]));
  return [...outside, ...crossing].map(([, words]) => words);
})
