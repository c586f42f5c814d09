/** Prices orders and plans their ways for so many seconds. The same in five languages: see tests/bench/jit.py. */
public class Orders {
    static long discount(int n) {
        return n < 2 ? n : discount(n - 1) + discount(n - 2);
    }

    static long price(int order) {
        long sum = 0;
        for (int each = 0; each < 3; each++) {
            sum += discount(14 + order % 3);
        }
        return sum;
    }

    static double distance(int n) {
        double sum = 0;
        for (int each = 1; each < n; each++) {
            sum += Math.sqrt(each) % 7;
        }
        return sum;
    }

    static double route(int order) {
        double sum = 0;
        for (int each = 0; each < 8; each++) {
            sum += distance(600 + order % 9);
        }
        return sum;
    }

    static double checkout(int order) {
        return price(order) + route(order);
    }

    public static void main(String[] arguments) {
        long end = System.currentTimeMillis() + 1000 * Long.parseLong(arguments[0]);
        double total = 0;
        for (int order = 0; System.currentTimeMillis() < end; order++) {
            total += checkout(order);
        }
        System.out.println(total);
    }
}
