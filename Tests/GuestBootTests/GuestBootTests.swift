import Foundation
import Martlet
import Testing

/// Boots the Debian kernels that `Scripts/fetch-guests.sh` fetched, on the software engine, to the end
/// of a scripted session. Serialized: each boot has the host to itself.
@Suite(.serialized, .timeLimit(.minutes(10))) struct GuestBootTests {
  @Test(
    .enabled(if: Guest.allArePresent, "no guests in the cache: run Scripts/fetch-guests.sh"),
    arguments: Guest.allCases, [1, 2])
  func `boots to its shell and powers off with a clean log`(
    guest: Guest, cpuCount: Int
  ) async throws {
    let session = try await GuestSession.run(guest, script: "check", cpuCount: cpuCount)
    #expect(session.reason == .poweredOff, "\(session.log.suffix(2000))")
    #expect(session.log.contains("martlet: the guest is up"))
    #expect(session.log.contains("martlet: processors \(cpuCount)"))
    #expect(session.log.contains("Linux version"))
    #expect(session.complaints == [])
  }

  @Test(
    .enabled(if: Guest.allArePresent, "no guests in the cache: run Scripts/fetch-guests.sh"))
  func `without a hypervisor interface the kernel calibrates its clocks cleanly`() async throws {
    let session = try await GuestSession.run(
      .cloudAmd64, script: "check", cpuCount: 1, interface: .none)
    #expect(session.reason == .poweredOff, "\(session.log.suffix(2000))")
    #expect(!session.log.contains("Hypervisor detected"))
    #expect(session.complaints == [])
  }

  @Test(
    .enabled(if: Guest.allArePresent, "no guests in the cache: run Scripts/fetch-guests.sh"))
  func `the console takes what is typed`() async throws {
    let session = try await GuestSession.run(.cloudAmd64, script: "echo", cpuCount: 1) { console in
      guard await console.waits(for: "martlet: the guest is up") else { return }
      console.type("twenty-three bytes here\n")
      guard await console.waits(for: "martlet: echo twenty-three bytes here") else { return }
      console.type("bye\n")
    }
    #expect(session.reason == .poweredOff, "\(session.log.suffix(2000))")
    #expect(session.log.contains("martlet: echo twenty-three bytes here"))
  }

  @Test(
    .enabled(if: Guest.allArePresent, "no guests in the cache: run Scripts/fetch-guests.sh"),
    arguments: Guest.allCases, [0, 1, 2, 3, 4])
  func `a relocatable kernel runs at the address it was loaded at`(
    guest: Guest, number: Int
  ) async throws {
    let addresses: [UInt64] =
      switch guest {
      case .cloudAmd64, .amd64: [0x100_0000, 0x120_0000, 0x560_0000, 0xA00_0000, 0x1040_0000]
      case .i686, .i686WithPAE: [0x100_0000, 0x100_2000, 0x246_8000, 0x600_0000, 0xC40_0000]
      }
    let address = addresses[number]
    let session = try await GuestSession.run(
      guest, script: "where", cpuCount: 1, kernelAddress: address)
    #expect(session.reason == .poweredOff, "\(session.log.suffix(2000))")
    let digits = String(address, radix: 16)
    let padded = String(repeating: "0", count: 8 - digits.count) + digits
    #expect(session.log.contains("martlet: kernel at \(padded)"))
    #expect(session.complaints == [])
  }

  @Test(
    .enabled(if: Guest.allArePresent, "no guests in the cache: run Scripts/fetch-guests.sh"))
  func `a reset ends the machine with that reason`() async throws {
    let session = try await GuestSession.run(.cloudAmd64, script: "reboot", cpuCount: 1)
    #expect(session.reason == .reset, "\(session.log.suffix(2000))")
  }

  @Test(
    .enabled(if: Guest.allArePresent, "no guests in the cache: run Scripts/fetch-guests.sh"),
    arguments: [Guest.cloudAmd64, .i686])
  func `a panic is told from a reset once the guest has loaded pvpanic`(guest: Guest) async throws {
    let disk = try GuestProgram.initialRamdisk(of: guest, adding: ["pvpanic", "pvpanic-mmio"])
    defer { try? FileManager.default.removeItem(at: disk) }
    let session = try await GuestSession.run(
      guest, script: "panic", cpuCount: 1, initialRamdisk: disk)
    #expect(session.reason == .guestPanic, "\(session.log.suffix(2000))")
  }
}
