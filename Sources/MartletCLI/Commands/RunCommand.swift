import ArgumentParser
import EngineInterface
import Foundation
import HostSystem
import Logging
import Martlet
import Synchronization

struct RunCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Boots a Linux kernel; its serial console is this terminal.",
    discussion: """
      A machine file says in YAML what the options say, under their names, with disks, networks and shares as \
      lists; options beside it add to what it says or take its place.

      In the terminal, Ctrl-A x quits, Ctrl-A h shows help, Ctrl-A Ctrl-A sends Ctrl-A.

      Exit status:
      \(ExitStatus.table)
      """)

  @Argument(help: "A machine file.", completion: .file(extensions: ["yaml", "yml"]))
  var machine: String?

  @Option(help: "The kernel: a bzImage, an ELF vmlinux or a PVH kernel.", completion: .file())
  var kernel: String?

  @Option(help: "The initial RAM disk or file system.", completion: .file())
  var initrd: String?

  @Option(help: "The kernel command line.")
  var append = "console=ttyS0"

  @Option(help: "Memory, for example 512M or 2G.", transform: MemorySize.argument)
  var memory = MemorySize(512 << 20)

  @Option(help: "The number of virtual CPUs.")
  var cpus = 1

  @Option(help: "What runs the virtual CPUs.")
  var engine = EngineChoice.automatic

  @Option(help: "What CPUID tells the guest about its processor.")
  var cpuModel = CPUModel.automatic

  @Option(help: "The hypervisor interface that the guest finds.")
  var paravirt = HypervisorInterface.kvm

  @Option(
    help: "The physical address to load the kernel at, for example 0x4000000.",
    transform: GuestAddress.argument)
  var kernelAddress: GuestAddress?

  @Option(help: "What to do when the guest resets its machine.")
  var onReset = ResetAction.stop

  @Option(
    help: """
      A serial port: terminal, none, file:PATH, or socket:PATH for whoever connects there; COM1 first, up to four \
      times (default: terminal, unless a console has it)
      """,
    transform: SerialDestination.argument)
  var serial: [SerialDestination] = []

  @Option(
    help: """
      A virtio console, /dev/hvc0 being the first: terminal, none, file:PATH or socket:PATH; with ,name=NAME a port for \
      programs of the guest, /dev/virtio-ports/NAME; once for each
      """,
    transform: ConsoleArgument.argument)
  var console: [ConsoleArgument] = []

  @Option(
    help: """
      A disk: PATH of an image, or nbd://HOST/EXPORT or nbd+unix:///EXPORT?socket=PATH of an NBD server, with \
      ,format=NAME (raw, qcow2, vmdk, vhdx, vpc, vdi, parallels, …), ,readonly=on to protect it or ,snapshot=on to forget what \
      the guest writes; ,bps=10M and ,iops=1000 limit bytes and requests a second, with ,bps-burst= and ,iops-burst= at \
      once; once for each disk (/dev/vda, /dev/vdb, …)
      """,
    transform: DiskArgument.argument)
  var disk: [DiskArgument] = []

  @Option(
    help: """
      A network: user, behind address translation, with ,forward=[tcp:|udp:][ADDRESS:]PORT:GUESTPORT (any \
      number), ,restrict=on, ,ipv6=on and ,mac=ADDRESS; tap,name=NAME; switch,path=SOCKET; with \
      ,rx-bps=, ,tx-bps= (bytes a second), ,rx-pps= and ,tx-pps= (packets a second) as limits, each with -burst=; once for each network device
      """,
    transform: NetworkArgument.argument)
  var net: [NetworkArgument] = []

  @Option(
    help: """
      A folder that the guest mounts with `mount -t virtiofs share /mnt`, with ,tag=NAME for another name than share \
      and ,readonly=on to protect it; once for each folder
      """,
    transform: ShareArgument.argument)
  var share: [ShareArgument] = []

  @Option(
    help: """
      Sockets between the guest and the host, as Firecracker has them: path=SOCKET, where programs of the host say \
      CONNECT PORT; the guest's connections to port N go to SOCKET_N; with ,cid=NUMBER for another address of the \
      guest than 3
      """,
    transform: SocketArgument.argument)
  var vsock: SocketArgument?

  @Option(help: "What virtio devices are behind: the PCI bus, or registers in memory.")
  var virtioTransport = VirtioTransport.pci

  @Option(
    help: """
      A memory balloon, which gives memory back to the host: on, or target=SIZE for what the guest is to keep, \
      ,stats=SECONDS to log what it says of its memory at --log-level info, ,deflate-on-oom=off and \
      ,free-page-reporting=off
      """,
    transform: BalloonArgument.argument)
  var balloon: BalloonArgument?

  @Flag(help: "Print what the engine counted when the machine has ended.")
  var stats = false

  @Option(
    help: """
      What the software engine reports: blocks (as they are translated), exits (to the machine), interrupts (and \
      exceptions that the guest gets); several with commas.
      """,
    transform: TracedEvents.argument)
  var trace: TracedEvents?

  @Option(help: "Where it reports (default: standard error).", completion: .file())
  var traceFile: String?

  @OptionGroup var logging: LoggingOptions

  func validate() throws {
    if kernel == nil, machine == nil {
      throw ValidationError(
        "there is nothing to boot: name a machine file, or a kernel with --kernel")
    }
    if traceFile != nil, trace == nil {
      throw ValidationError("--trace-file needs --trace blocks, exits or interrupts")
    }
    let destinations = (serial + console.map(\.destination)).filter { $0 == .terminal }
    guard destinations.count <= 1 else {
      throw ValidationError("only one serial port or console can be connected to the terminal")
    }
  }

  func run() async throws {
    guard let machine else { return try await boot() }
    // The file's options come first, so that those of the command line have the last word.
    let file = try MachineFile(path: machine)
    let given = CommandLine.arguments.drop { $0 != Self.configuration.commandName }.dropFirst()
    try await Self.parse(file.arguments + given).boot()
  }

  private func boot() async throws {
    logging.bootstrap()
    let quit = QuitRequest()
    let machine: VirtualMachine
    var traceLog: TraceLog?
    do {
      var configuration = try machineConfiguration(quit: quit)
      if let trace {
        let log = try TraceLog(path: traceFile)
        configuration.trace = ExecutionTrace(events: trace.events) { log.write($0) }
        traceLog = log
      }
      machine = try VirtualMachine(configuration: configuration)
    } catch let error as ConfigurationError {
      report("\(error)")
      throw ExitCode.validationFailure
    }
    quit.attach(machine)
    do {
      try await machine.start()
    } catch {
      finish(.hostError("\(error)"))
    }
    async let _: Void = logMemory(of: machine)
    let reason = await machine.waitUntilStopped()
    traceLog?.flush()
    if stats { report("\(machine.statistics)") }
    finish(reason)
  }

  /// Logs what the guest says of its memory, as often as it is asked.
  private func logMemory(of machine: VirtualMachine) async {
    guard let seconds = balloon?.statisticsInterval else { return }
    let logger = Logger(label: "martlet")
    while (try? await Task.sleep(for: .seconds(seconds))) != nil {
      if let statistics = machine.memoryStatistics { logger.info("\(statistics)") }
    }
  }

  func machineConfiguration(quit: QuitRequest) throws -> VirtualMachineConfiguration {
    guard let kernel else {
      throw ValidationError(
        "there is nothing to boot: add `kernel: PATH` to the machine file, or --kernel PATH")
    }
    var configuration = VirtualMachineConfiguration()
    configuration.bootLoader = LinuxBootLoader(
      kernelURL: URL(fileURLWithPath: kernel),
      initialRamdiskURL: initrd.map { URL(fileURLWithPath: $0) }, commandLine: append,
      kernelAddress: kernelAddress?.rawValue)
    configuration.cpuCount = cpus
    configuration.memorySize = memory.byteCount
    configuration.engine = engine
    configuration.cpuModel = cpuModel
    configuration.hypervisorInterface = paravirt
    configuration.onReset = onReset
    configuration.storageDevices = disk.map(\.configuration)
    configuration.networkDevices = net.map(\.configuration)
    configuration.directorySharingDevices = share.enumerated().map { number, share in
      share.configuration(number: number)
    }
    configuration.virtioTransport = virtioTransport
    configuration.memoryBalloonDevices = balloon.map { [$0.configuration] } ?? []
    configuration.socketDevices = vsock.map { [$0.configuration] } ?? []
    if !console.isEmpty {
      configuration.consoleDevices = [
        VirtioConsoleDeviceConfiguration(
          ports: try console.map { try $0.configuration(onQuit: quit.request) })
      ]
    }
    configuration.serialPorts = try serialPorts.map { destination in
      SerialPortConfiguration(
        attachment: try destination.attachment(for: "serial log", onQuit: quit.request))
    }
    return configuration
  }

  /// What was asked for, or COM1 with the terminal unless a console has that.
  private var serialPorts: [SerialDestination] {
    guard serial.isEmpty else { return serial }
    return [console.contains { $0.destination == .terminal } ? .none : .terminal]
  }

  /// Leaves the process at once: tasks and threads of the machine may still be waiting.
  private func finish(_ reason: ExitReason) -> Never {
    Terminal.restore()
    let status = ExitStatus(reason)
    if status != .poweredOff { report("\(reason)") }
    if case .tripleFault(let dump) = reason { report("\(dump)") }
    Foundation.exit(status.rawValue)
  }
}

/// Ctrl-A x, which may come before the machine is there.
final class QuitRequest: Sendable {
  private let machine = Mutex<VirtualMachine?>(nil)

  init() {}

  func attach(_ machine: VirtualMachine) { self.machine.withLock { $0 = machine } }

  func request() {
    guard let machine = machine.withLock({ $0 }) else { return }
    Task { try? await machine.stop() }
  }
}

/// One message on standard error.
func report(_ text: String) {
  try? HostFile.write(Array("martlet: \(text)\n".utf8), to: Terminal.standardError)
}
