/* A child of vfork that lives in its parent's memory until it is told, by a line, to exec argv[1] with the
 * arguments behind it. Before that, it says its pid and where four pages of that memory are. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096
/* The program that comes next has no region here. */
#define PLACE ((char *) 0x200080000000)

int main(int argc, char **argv) {
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
    char *old = mmap(PLACE, 4 * PAGE, PROT_READ | PROT_WRITE, flags, -1, 0);

    if (argc < 2 || old != PLACE)
        return 1;
    for (int page = 0; page < 4; page++)
        memset(old + page * PAGE, page + 1, PAGE);
    if (vfork() == 0) {
        char line[64];

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dprintf(1, "{\"pid\": %d, \"old\": %lu}\n", getpid(), (unsigned long) old);
        if (read(0, line, sizeof line) > 0)
            execv(argv[1], argv + 1);
        _exit(1);
    }
    wait(NULL);
    return 0;
}
