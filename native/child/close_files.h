/* What a task that shares memory for long does first: it leaves its copies of the files of its maker. */
#pragma once

/*
 * Closes all descriptors but three (negative: fewer), and goes to the root directory. It must not keep anything open:
 * another task may wait for the end of a pipe, or unmount a file system.
 */
void ramet_close_all_but(int first, int second, int third);

/* Closes all but so many, in the directory that it is in. Where there is no close_range(2), those above 4095 stay open. */
void ramet_close_all_but_these(const int *kept, int count);
