import Foundation
import Martlet
import Testing

@Suite struct ConfigurationTests {
  private func valid() -> VirtualMachineConfiguration {
    var configuration = VirtualMachineConfiguration()
    configuration.bootLoader = LinuxBootLoader(kernelURL: URL(fileURLWithPath: "/boot/vmlinuz"))
    return configuration
  }

  @Test func `a boot loader is all that the defaults lack`() throws {
    try valid().validate()
    #expect(throws: ConfigurationError.noBootLoader) {
      try VirtualMachineConfiguration().validate()
    }
  }

  @Test(arguments: [0, -1, VirtualMachineConfiguration.maximumCPUCount + 1, .max])
  func `refuses a number of CPUs that no machine has`(count: Int) {
    var configuration = valid()
    configuration.cpuCount = count
    #expect(throws: ConfigurationError.cpuCountOutOfRange(count)) { try configuration.validate() }
  }

  @Test(arguments: [UInt64(0), 4096, (1 << 40) + 4096, .max])
  func `refuses too little and too much memory`(size: UInt64) {
    var configuration = valid()
    configuration.memorySize = size
    #expect(throws: ConfigurationError.memorySizeOutOfRange(size)) { try configuration.validate() }
  }

  @Test func `refuses parts of pages and names a size that would do`() {
    var configuration = valid()
    configuration.memorySize = (64 << 20) + 1
    let error = #expect(throws: ConfigurationError.self) { try configuration.validate() }
    #expect(error == .memorySizeNotPageAligned((64 << 20) + 1))
    #expect("\(error!)".contains("\((64 << 20) + 4096)"))
  }

  @Test func `refuses a fifth serial port`() {
    var configuration = valid()
    configuration.serialPorts = Array(repeating: SerialPortConfiguration(), count: 5)
    #expect(throws: ConfigurationError.tooManySerialPorts(5)) { try configuration.validate() }
  }

  @Test(arguments: [UInt32(0), 2, .max])
  func `refuses vsock addresses that no guest can have`(address: UInt32) {
    var configuration = valid()
    let url = URL(fileURLWithPath: "/tmp/x.vsock")
    configuration.socketDevices = [
      VirtioSocketDeviceConfiguration(guestCID: address, socketURL: url)
    ]
    #expect(throws: ConfigurationError.badGuestCID(address)) { try configuration.validate() }
    let one = VirtioSocketDeviceConfiguration(socketURL: url)
    configuration.socketDevices = [one, one]
    #expect(throws: ConfigurationError.tooManySocketDevices(2)) { try configuration.validate() }
  }

  @Test func `refuses consoles without ports and ports that cannot be told apart`() {
    var configuration = valid()
    configuration.consoleDevices = [VirtioConsoleDeviceConfiguration(ports: [])]
    #expect(throws: ConfigurationError.consolePortCountOutOfRange(0)) {
      try configuration.validate()
    }
    let agent = VirtioConsolePortConfiguration(name: "agent")
    configuration.consoleDevices = [VirtioConsoleDeviceConfiguration(ports: [agent, agent])]
    #expect(throws: ConfigurationError.consolePortNameTwice("agent")) {
      try configuration.validate()
    }
    configuration.consoleDevices[0].ports = [VirtioConsolePortConfiguration(name: "a/b")]
    #expect(throws: ConfigurationError.badConsolePortName("a/b")) { try configuration.validate() }
    configuration.consoleDevices[0].ports = (0..<31).map {
      VirtioConsolePortConfiguration(name: "p\($0)")
    }
    #expect(throws: Never.self) { try configuration.validate() }
  }

  @Test func `refuses a balloon that is to leave more than there is`() {
    var configuration = valid()
    configuration.memoryBalloonDevices = [
      VirtioMemoryBalloonDeviceConfiguration(targetMemorySize: 1 << 30)
    ]
    #expect(
      throws: ConfigurationError.balloonTargetOutOfRange(1 << 30, memorySize: 512 << 20)
    ) { try configuration.validate() }
  }

  @Test func `refuses kernels that are not local files`() {
    var configuration = valid()
    configuration.bootLoader?.kernelURL = URL(string: "https://example.org/vmlinuz")!
    #expect(throws: ConfigurationError.notAFileURL("https://example.org/vmlinuz")) {
      try configuration.validate()
    }
  }

  @Test func `refuses a NUL in the command line`() {
    var configuration = valid()
    configuration.bootLoader?.commandLine = "quiet\0init=/bin/sh"
    #expect(throws: ConfigurationError.commandLineContainsNUL) { try configuration.validate() }
  }
}

@Suite struct MemorySizeTests {
  @Test(arguments: [
    ("512M", UInt64(512 << 20)), ("2G", 2 << 30), ("2g", 2 << 30), ("1GiB", 1 << 30),
    ("64k", 64 << 10), ("1T", 1 << 40), ("4096", 4096), ("16B", 16), ("0", 0),
  ])
  func `reads sizes as people write them`(text: String, bytes: UInt64) throws {
    #expect(try MemorySize(parsing: text).byteCount == bytes)
  }

  @Test(arguments: ["", "M", "-1M", "1.5G", "12Q", "99999999999999999999", "999999999T", " 1M"])
  func `refuses what is no size`(text: String) {
    #expect(throws: MemorySizeError.self) { try MemorySize(parsing: text) }
  }

  @Test func `describes itself in the largest unit that loses nothing`() {
    #expect("\(MemorySize(512 << 20))" == "512M")
    #expect("\(MemorySize(1 << 40))" == "1T")
    #expect("\(MemorySize((1 << 20) + 1))" == "1048577 bytes")
  }
}
