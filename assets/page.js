// Times in answers and in the film strip seek the player; the button in the header turns dark on.
document.addEventListener("click", (event) => {
  const link = event.target.closest('a[href^="#t="]');
  if (link) {
    event.preventDefault();
    const player = document.querySelector("#player video");
    if (player) {
      player.currentTime = parseFloat(link.getAttribute("href").slice(3));
    }
    document.querySelectorAll(".fw-strip a.fw-current").forEach((a) => a.classList.remove("fw-current"));
    if (link.closest(".fw-strip")) {
      link.classList.add("fw-current");
    }
  }
  if (event.target.closest("#dark")) {
    document.body.classList.toggle("dark");
  }
});
