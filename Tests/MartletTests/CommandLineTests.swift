import ArgumentParser
import Foundation
import Martlet
import Testing

@testable import MartletCLI

@Suite struct EscapeFilterTests {
  private func events(_ chunks: [UInt8]...) -> [EscapeFilter.Event] {
    var filter = EscapeFilter()
    return chunks.flatMap { filter.events(for: $0) }
  }

  @Test func `plain keys go to the guest in one piece`() {
    #expect(events(Array("ls\r".utf8)) == [.type(Array("ls\r".utf8))])
  }

  @Test func `Ctrl-A x quits, after what was typed before`() {
    #expect(events([97, 1, 120, 98]) == [.type([97]), .quit, .type([98])])
  }

  @Test func `an escape may be split between reads`() {
    #expect(events([1], [120]) == [.quit])
    #expect(events([1], [104]) == [.help])
  }

  @Test func `Ctrl-A Ctrl-A is one Ctrl-A`() {
    #expect(events([1, 1]) == [.type([1])])
    #expect(events([1, 1, 120]) == [.type([1, 120])])
  }

  @Test func `an unknown command is passed on whole`() {
    #expect(events([1, 122]) == [.type([1, 122])])
  }
}

@Suite struct CommandLineTests {
  private func run(_ arguments: String...) throws -> RunCommand {
    try #require(MartletCommand.parseAsRoot(["run"] + arguments) as? RunCommand)
  }

  private func message(_ arguments: String...) -> String {
    do {
      _ = try MartletCommand.parseAsRoot(["run"] + arguments)
      return ""
    } catch {
      return MartletCommand.message(for: error)
    }
  }

  @Test func `every option reaches the configuration`() throws {
    let command = try run(
      "--kernel", "/k", "--initrd", "/i", "--append", "quiet", "--memory", "2G", "--cpus", "3",
      "--engine", "software", "--cpu-model", "i686", "--paravirt", "none", "--kernel-address",
      "0x4000000", "--on-reset", "reboot", "--serial", "none", "--serial", "terminal")
    let configuration = try command.machineConfiguration(quit: QuitRequest())
    #expect(configuration.bootLoader?.kernelURL == URL(fileURLWithPath: "/k"))
    #expect(configuration.bootLoader?.initialRamdiskURL == URL(fileURLWithPath: "/i"))
    #expect(configuration.bootLoader?.commandLine == "quiet")
    #expect(configuration.bootLoader?.kernelAddress == 0x400_0000)
    #expect(configuration.memorySize == 2 << 30)
    #expect(configuration.cpuCount == 3)
    #expect(configuration.engine == .software)
    #expect(configuration.cpuModel == .i686)
    #expect(configuration.hypervisorInterface == .none)
    #expect(configuration.onReset == .reboot)
    #expect(configuration.serialPorts.map { $0.attachment == nil } == [true, false])
  }

  @Test func `the kernel alone is enough`() throws {
    let configuration = try run("--kernel", "/k").machineConfiguration(quit: QuitRequest())
    try configuration.validate()
    #expect(configuration.serialPorts.count == 1)
    #expect(configuration.engine == .automatic)
    #expect(configuration.onReset == .stop)
  }

  @Test func `sockets, consoles and a balloon reach the configuration`() throws {
    let configuration = try run(
      "--kernel", "/k", "--vsock", "cid=7,path=/tmp/x.vsock", "--console", "terminal",
      "--console", "none,name=agent", "--balloon", "target=256M,stats=5,deflate-on-oom=off",
      "--virtio-transport", "mmio"
    ).machineConfiguration(quit: QuitRequest())
    try configuration.validate()
    #expect(configuration.socketDevices.map(\.guestCID) == [7])
    #expect(configuration.socketDevices.first?.socketURL == URL(fileURLWithPath: "/tmp/x.vsock"))
    let ports = try #require(configuration.consoleDevices.first?.ports)
    #expect(ports.map(\.name) == [nil, "agent"])
    #expect(ports.map { $0.attachment == nil } == [false, true])
    // The terminal is the console's.
    #expect(configuration.serialPorts.map { $0.attachment == nil } == [true])
    let balloon = try #require(configuration.memoryBalloonDevices.first)
    #expect(balloon.targetMemorySize == 256 << 20)
    #expect(balloon.statisticsInterval == .seconds(5))
    #expect(!balloon.deflatesOnOutOfMemory && balloon.reportsFreePages)
    #expect(configuration.virtioTransport == .mmio)
  }

  @Test func `errors of sockets, consoles and balloons say what to write`() {
    #expect(message("--kernel", "/k", "--vsock", "cid=3").contains("path=/tmp/vm.vsock"))
    #expect(message("--kernel", "/k", "--vsock", "path=/x,cid=guest").contains("cid=3"))
    #expect(message("--kernel", "/k", "--vsock", "path=/x,port=1").contains("cid=NUMBER"))
    #expect(message("--kernel", "/k", "--console", "tty").contains("socket:PATH"))
    #expect(
      message("--kernel", "/k", "--console", "terminal", "--serial", "terminal").contains("one"))
    #expect(message("--kernel", "/k", "--balloon", "stats=0").contains("1 to 86400"))
    #expect(message("--kernel", "/k", "--balloon", "target=x").contains("512M or 2G"))
    #expect(message("--kernel", "/k", "--virtio-transport", "isa").contains("mmio"))
  }

  @Test func `machine files say the same`() throws {
    let text = """
      kernel: vmlinuz
      vsock: {cid: 7, path: run/x.vsock}
      consoles: [terminal, "socket:agent.sock,name=agent"]
      balloon: {target: 256M, free-page-reporting: false}
      virtio-transport: mmio
      """
    let file = try MachineFile(text, name: "m.yaml", directory: URL(fileURLWithPath: "/vm"))
    #expect(
      file.arguments == [
        "--kernel", "/vm/vmlinuz", "--vsock", "cid=7,path=/vm/run/x.vsock", "--console", "terminal",
        "--console", "socket:/vm/agent.sock,name=agent", "--balloon",
        "target=256M,free-page-reporting=off", "--virtio-transport", "mmio",
      ])
  }

  @Test func `errors say what to write`() {
    #expect(message("--kernel", "/k", "--memory", "12Q").contains("512M or 2G"))
    #expect(message("--kernel", "/k", "--kernel-address", "0xzz").contains("0x1000000"))
    #expect(message("--kernel", "/k", "--serial", "lpt").contains("terminal, none, file:PATH"))
    #expect(message("--kernel", "/k", "--engine", "xen").contains("software"))
    #expect(message("--kernel", "/k", "--serial", "terminal", "--serial", "stdio").contains("one"))
    #expect(message().contains("--kernel"))
  }

  @Test func `exit statuses are distinct, and 0 only means power-off`() {
    let statuses = ExitStatus.allCases.map(\.rawValue)
    #expect(Set(statuses).count == statuses.count)
    #expect(ExitStatus(.poweredOff).rawValue == 0)
    #expect(ExitStatus(.guestPanic).rawValue == 3)
    #expect(ExitStatus(.reset).rawValue == 5)
    #expect(ExitStatus(.hostError("")).rawValue == 1)
  }
}
