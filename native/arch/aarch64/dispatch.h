/* aarch64 has no Syscall User Dispatch: Linux has it on cpus that use its generic entry code. */
#pragma once

#define RAMET_HAS_DISPATCH 0
