() => {
  const blocks = "li, p, button, h1, h2, h3, dt, dd, th, td, option, label, legend, text";
  const names = /\b(Linux|Ramet|ramet|run|root|strace|shell|clone3?|English|granted|v?fork|posix_spawn|pthread_create|docker|pids?|unshare|setns|System)\b|[A-Z]\w*_\w+/g;
  const found = [];
  const search = (root) => {
    for (const block of root.querySelectorAll(blocks)) {
      const words = block.textContent.trim();
      if (block.closest(".source, .request, .code") || /[\u3400-\u9fff]/.test(words)) continue;
      if (/[a-z]{3}/.test(words.replace(names, ""))) found.push(words);
    }
  };
  search(document);
  document.querySelectorAll(".drawing").forEach((one) => search(one.shadowRoot));
  return found;
}
