#include <stdlib.h>
#include <time.h>
static inline __attribute__((always_inline)) double first(double x) {
    for (int i = 0; i < 100000; i++)
        x = x * 1.0001 + 0.1;
    return x;
}
static inline __attribute__((always_inline)) double second(double x) {
    for (int i = 0; i < 100000; i++)
        x = x * 1.0001 + 0.1;
    return x;
}

__attribute__((noinline)) double outer(double x, int late) {
    return late ? second(x) * 2 : first(x) * 3;
}

/* The second one begins when three quarters of the time are over: the function is known by then. */
int main(int count, char **arguments) {
    double x = count, end = atof(arguments[1]) * CLOCKS_PER_SEC;
    while (clock() < end)
        x = outer(x, clock() > end * 3 / 4) / 1e9;
    return x > 1e300;
}
