export function showPlay(place) { place.textContent = "soon"; }
