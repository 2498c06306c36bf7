import ArgumentParser
import DeviceModel
import Foundation
import Testing

@testable import Martlet
@testable import MartletCLI

@Suite struct DiskArgumentTests {
  private func configuration(_ text: String) throws -> VirtioBlockDeviceConfiguration {
    try DiskArgument.argument(text).configuration
  }

  private func problem(_ text: String) -> ConfigurationError? {
    do {
      try configuration(text).validate()
    } catch {
      return error as? ConfigurationError
    }
    return nil
  }

  @Test func `limits reach the configuration`() throws {
    let disk = try configuration("/d,bps=10M,bps-burst=20M,iops=1000")
    #expect(disk.rateLimits.bytes == RateLimit(perSecond: 10 << 20, burst: 20 << 20))
    #expect(disk.rateLimits.operations == RateLimit(perSecond: 1000, burst: 100))
    #expect(try configuration("/d").rateLimits.isUnlimited)
    let network = try NetworkArgument.argument(
      "user,rx-bps=1M,tx-pps=50,tx-pps-burst=5"
    ).configuration
    #expect(network.receiveLimits == RateLimits(bytes: RateLimit(perSecond: 1 << 20)))
    #expect(
      network.sendLimits == RateLimits(operations: RateLimit(perSecond: 50, burst: 5)))
    for text in ["/d,bps=0", "/d,bps=x", "/d,iops=1.5", "/d,iops-burst=5", "/d,rx-bps=1M"] {
      #expect(throws: ValidationError.self) { try DiskArgument.argument(text) }
    }
  }

  @Test func `a disk is a path, or the address of a server`() throws {
    #expect(try configuration("a b.img").imageURL.isFileURL)
    let address = "nbd+unix:///root?socket=/tmp/s"
    #expect(try configuration(address).imageURL.absoluteString == address)
    #expect(problem(address) == nil)
    #expect(problem("nbds://host:10810/e,readonly=on,snapshot=on") == nil)
    #expect(problem("http://host/x") == .notAFileURL("http://host/x"))
    #expect(problem("nbd://host/x,snapshot=on") == nil)
  }

  @Test func `a format is a name`() throws {
    #expect(problem("/d,format=vmdk") == nil)
    #expect(problem("/d,format=raw") == nil)
    #expect(problem("/d,format=Vmdk") == .badDiskFormat("Vmdk"))
    #expect(problem("/d,format=a.b") == .badDiskFormat("a.b"))
  }

  @Test func `a guest's bytes do not make a raw image another`() throws {
    let url = FileManager.default.temporaryDirectory
      .appending(path: "martlet-\(UUID().uuidString).img")
    try (Data("KDMV".utf8) + Data(count: 4092)).write(to: url)
    defer { try? FileManager.default.removeItem(at: url) }
    var disk = VirtioBlockDeviceConfiguration(imageURL: url)
    #expect(throws: ConfigurationError.unclearDiskFormat(path: url.path, format: "vmdk")) {
      try disk.open()
    }
    disk.format = "raw"
    try disk.open().close()
  }

  @Test func `a machine that does not run has no disk to look at`() throws {
    var configuration = VirtualMachineConfiguration()
    configuration.bootLoader = LinuxBootLoader(kernelURL: URL(fileURLWithPath: "/k"))
    let machine = try VirtualMachine(configuration: configuration)
    #expect(throws: VirtualMachineError.invalidState(.ready, for: "refreshSize")) {
      try machine.refreshSize(ofStorageDevice: 0)
    }
  }
}
