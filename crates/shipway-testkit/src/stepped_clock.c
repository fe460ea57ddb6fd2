/* Sets the wall clock of the process that loads this (LD_PRELOAD): the true one, plus the nanoseconds that the file
 * $STEPPED_CLOCK holds at that moment, eight bytes in the order of the machine.
 *
 * Only clock_gettime is replaced, by which programs ask what time it is. What waits until a moment of the wall clock asks by
 * gettimeofday or timespec_get and hands the moment to the kernel, whose clock was not set. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const int64_t SECOND_NS = 1000000000;
static const volatile int64_t *ahead_ns;

__attribute__((constructor)) static void open_offset(void) {
    const char *path = getenv("STEPPED_CLOCK");
    int file = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    void *mapped = MAP_FAILED;
    if (file >= 0)
        mapped = mmap(NULL, sizeof *ahead_ns, PROT_READ, MAP_SHARED, file, 0);
    if (mapped == MAP_FAILED)
        abort();
    close(file);
    ahead_ns = mapped;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    if (syscall(SYS_clock_gettime, clock, now) != 0)
        return -1;
    if (clock == CLOCK_REALTIME && ahead_ns != NULL) {
        int64_t nanoseconds = now->tv_nsec + *ahead_ns % SECOND_NS;
        int64_t seconds = *ahead_ns / SECOND_NS;
        if (nanoseconds < 0) {
            nanoseconds += SECOND_NS;
            seconds -= 1;
        } else if (nanoseconds >= SECOND_NS) {
            nanoseconds -= SECOND_NS;
            seconds += 1;
        }
        now->tv_sec += seconds;
        now->tv_nsec = nanoseconds;
    }
    return 0;
}
