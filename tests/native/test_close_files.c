/* A task closes what it has copied, but for three descriptors or fewer, and leaves its directory. */
#include <fcntl.h>
#include <string.h>

#include "check.h"
#include "close_files.h"

#define HIGH 300

static bool is_open(int descriptor)
{
    return fcntl(descriptor, F_GETFD) >= 0;
}

static int close_in_child(int one, int other, int third)
{
    pid_t pid = fork();
    if (pid == 0) {
        char folder[8];
        ramet_close_all_but(one, other, third);
        for (int descriptor = 0; descriptor <= HIGH; descriptor++)
            if (is_open(descriptor) != (descriptor == one || descriptor == other || descriptor == third))
                _exit(FAILED);
        _exit(getcwd(folder, sizeof folder) != NULL && strcmp(folder, "/") == 0 ? FOUND : FAILED);
    }
    return code_of(pid);
}

int main(void)
{
    CHECK(chdir("/proc") == 0);
    CHECK(dup2(0, HIGH) == HIGH && dup2(0, 7) == 7);
    CHECK(close_in_child(7, -1, -1) == FOUND);
    CHECK(close_in_child(-1, 0, -1) == FOUND);
    CHECK(close_in_child(HIGH, 7, 2) == FOUND);
    CHECK(close_in_child(0, 1, 2) == FOUND);
    CHECK(close_in_child(7, 7, HIGH) == FOUND);
    CHECK(close_in_child(-1, -1, -1) == FOUND);
    CHECK(is_open(7) && is_open(HIGH));
    return passed();
}
