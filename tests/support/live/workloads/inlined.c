#include <stdlib.h>
#include <time.h>
static inline __attribute__((always_inline)) double inner(double x) {
    for (int i = 0; i < 100000; i++)
        x = x * 1.0001 + 0.1;
    return x;
}
static inline __attribute__((always_inline)) double middle(double x) {
    return inner(x) + 1;
}

__attribute__((noinline)) double outer(double x) {
    return middle(x) * 2;
}

int main(int count, char **arguments) {
    double x = count;
    while (clock() < atof(arguments[1]) * CLOCKS_PER_SEC)
        x = outer(x) / 1e9;
    return x > 1e300;
}
