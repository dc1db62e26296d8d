// What the build writes from the rows of ramet.flags and ramet.law: flags, kernels, callers, presets.

export let data = null;

export async function loadData() {
  data = await (await fetch("data.json")).json();
}

export const bitsOf = (name) => BigInt(data.flags[name].value);

// The names of single flags, in the order of the groups; CSIGNAL is a mask and not one of them.
export function flagNames() {
  return data.groups.flatMap((group) => group.flags).filter((name) => name !== "CSIGNAL");
}

export function signalName(number) {
  return data.signals.find(([known]) => known === number)?.[1] ?? String(number);
}
