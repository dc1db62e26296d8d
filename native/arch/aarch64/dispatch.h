/* aarch64 has no Syscall User Dispatch: Linux has it on cpus that use its generic entry code. */
#ifndef RAMET_ARCH_DISPATCH_H
#define RAMET_ARCH_DISPATCH_H

#define RAMET_HAS_DISPATCH 0

#endif
