import java.lang.management.ManagementFactory;
import java.util.zip.Deflater;
import javax.management.MBeanOperationInfo;
import javax.management.MBeanServer;
import javax.management.ObjectName;

/**
 * Compiled code calls interpreted code, which calls compiled code; and native code packs a text: for so many seconds.
 * After a quarter of them it writes the names of its compiled code, if it is told to ("map").
 */
public class Calls {
    static long fib(int n) {
        return n < 2 ? n : fib(n - 1) + fib(n - 2);
    }

    static long interpreted(int n) {
        return fib(n) + 1;
    }

    static long compiled(int n) {
        return interpreted(n) + 1;
    }

    static int pack(byte[] text, byte[] packed) {
        Deflater deflater = new Deflater();
        deflater.setInput(text);
        deflater.finish();
        int size = deflater.deflate(packed);
        deflater.end();
        return size;
    }

    /** As `jcmd PID Compiler.perfmap`, which since JDK 21 takes an argument. */
    static void writeMap() throws Exception {
        ObjectName commands = new ObjectName("com.sun.management:type=DiagnosticCommand");
        MBeanServer server = ManagementFactory.getPlatformMBeanServer();
        for (MBeanOperationInfo each : server.getMBeanInfo(commands).getOperations()) {
            if (each.getName().equals("compilerPerfmap")) {
                boolean takesNone = each.getSignature().length == 0;
                server.invoke(
                    commands,
                    each.getName(),
                    takesNone ? null : new Object[] {new String[0]},
                    takesNone ? null : new String[] {String[].class.getName()});
            }
        }
    }

    static long run(long until) {
        byte[] text = new byte[20000], packed = new byte[40000];
        for (int at = 0; at < text.length; at++) {
            text[at] = (byte) (at * 31 % 97);
        }
        long sum = 0;
        while (System.currentTimeMillis() < until) {
            sum += compiled(20) + pack(text, packed);
        }
        return sum;
    }

    public static void main(String[] arguments) throws Exception {
        long quarter = 250 * Long.parseLong(arguments[0]), begin = System.currentTimeMillis();
        long sum = run(begin + quarter);
        if (arguments.length > 1) {
            writeMap();
        }
        System.out.println(sum + run(begin + 4 * quarter));
    }
}
