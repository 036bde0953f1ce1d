import static net.bytebuddy.matcher.ElementMatchers.nameEndsWith;
import static net.bytebuddy.matcher.ElementMatchers.named;
import static net.bytebuddy.matcher.ElementMatchers.takesArgument;

import java.lang.instrument.Instrumentation;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import net.bytebuddy.agent.builder.AgentBuilder;
import net.bytebuddy.asm.Advice;

/**
 * An agent that lets the gRPC servers of Beam listen on this machine alone.
 *
 * <p>Beam opens them by a port, whatever its --job-host says, and a port alone means every
 * interface. They run code for whoever connects.
 */
public final class Loopback {
  private Loopback() {}

  /** Is called by the virtual machine before the program begins. */
  public static void premain(String argument, Instrumentation machine) {
    new AgentBuilder.Default()
        .type(nameEndsWith(".io.grpc.netty.NettyServerBuilder"))
        .transform(
            (builder, type, loader, module, domain) ->
                builder.visit(
                    Advice.to(OnLoopback.class)
                        .on(named("forAddress").and(takesArgument(0, SocketAddress.class)))))
        .installOn(machine);
  }

  /** Stands at the beginning of each method that is told an address. */
  public static final class OnLoopback {
    private OnLoopback() {}

    @Advice.OnMethodEnter
    static void enter(@Advice.Argument(value = 0, readOnly = false) SocketAddress address) {
      if (address instanceof InetSocketAddress
          && ((InetSocketAddress) address).getAddress() != null
          && ((InetSocketAddress) address).getAddress().isAnyLocalAddress()) {
        address =
            new InetSocketAddress(
                InetAddress.getLoopbackAddress(), ((InetSocketAddress) address).getPort());
      }
    }
  }
}
