import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** Calls itself, sums a list and shuffles it for so many seconds. */
public class Fib {
    static long fib(int n) {
        return n < 2 ? n : fib(n - 1) + fib(n - 2);
    }

    static double total(List<Integer> items) {
        double sum = 0;
        for (int each : items) {
            sum += Math.sqrt(each);
        }
        return sum;
    }

    public static void main(String[] arguments) {
        long end = System.currentTimeMillis() + 1000 * Long.parseLong(arguments[0]);
        List<Integer> items = new ArrayList<>();
        for (int each = 0; each < 5000; each++) {
            items.add(each);
        }
        double sum = 0;
        while (System.currentTimeMillis() < end) {
            sum += fib(24);
            for (int round = 0; round < 50; round++) {
                sum += total(items);
            }
            Collections.shuffle(items);
        }
        System.out.println(sum);
    }
}
