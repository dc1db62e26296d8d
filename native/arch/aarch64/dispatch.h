/* No system call is handed to a signal handler on aarch64: Linux has that on x86 only, and on others where it shares its entry code. */
#ifndef RAMET_ARCH_DISPATCH_H
#define RAMET_ARCH_DISPATCH_H

#define RAMET_HAS_DISPATCH 0

#endif
