() => [...document.querySelectorAll("button, input, select")].filter((one) => one.checkVisibility()
        && !one.textContent.trim() && !one.getAttribute("aria-label") && !one.labels?.length).map((one) => one.outerHTML)
