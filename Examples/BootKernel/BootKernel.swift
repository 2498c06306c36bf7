// Boots a kernel with its console on standard output:
//   swift run BootKernel vmlinuz initramfs.cpio.gz
import Foundation
import Martlet

@main
struct BootKernel {
  static func main() async throws {
    let files = CommandLine.arguments.dropFirst().map { URL(fileURLWithPath: $0) }
    guard let kernel = files.first else { return print("usage: BootKernel KERNEL [INITRAMFS]") }

    var configuration = VirtualMachineConfiguration()
    configuration.bootLoader = LinuxBootLoader(
      kernelURL: kernel, initialRamdiskURL: files.dropFirst().first, commandLine: "console=ttyS0")
    configuration.cpuCount = 2
    configuration.memorySize = 512 << 20
    configuration.serialPorts = [SerialPortConfiguration(attachment: .standardIO)]

    let machine = try VirtualMachine(configuration: configuration)
    try await machine.start()
    print("The machine stopped:", await machine.waitUntilStopped())
  }
}
