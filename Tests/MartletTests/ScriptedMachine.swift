import DeviceModel
import EngineInterface
import Foundation
import HostSystem
import MachineTypes
import X86

@testable import Martlet

/// A virtual CPU that plays exits from a list, then halts until it is kicked.
final class ScriptedCPU: VirtualCPU {
  private struct Play {
    var exits: [VMExit]
    var entries: [VMEntry] = []
    var isKicked = false
  }

  let index: VirtualCPUIndex
  let retiredInstructionCount: UInt64 = 0
  private let play: Monitor<Play>

  init(_ index: UInt32, exits: [VMExit]) {
    self.index = VirtualCPUIndex(rawValue: index)
    play = Monitor(Play(exits: exits))
  }

  var entries: [VMEntry] { play.withLock { $0.entries } }

  func run(_ entry: VMEntry) throws(EngineFailure) -> VMExit {
    let exit = play.update { play -> VMExit in
      play.entries.append(entry)
      return play.exits.isEmpty ? .halt : play.exits.removeFirst()
    }
    if case .debug(let address) = exit {
      throw .cannotContinue("the script says so", at: address)
    }
    return exit
  }

  func waitForEvent() {
    play.wait { play -> Void? in
      guard play.isKicked else { return nil }
      play.isKicked = false
      return ()
    }
  }

  func kick() { play.update { $0.isKicked = true } }

  func setInstructionBudget(_ count: UInt64?) throws(EngineFailure) {
    throw .unsupported("instruction budgets")
  }

  func saveState() throws(EngineFailure) -> VirtualCPUState { .reset(signature: 0x663) }
  func restoreState(_ state: VirtualCPUState) throws(EngineFailure) {}
}

final class ScriptedEngine: Engine {
  let kind = EngineKind.software
  let tscFrequencyKilohertz: UInt32 = 1_000_000
  let processors: [ScriptedCPU]

  init(_ scripts: [[VMExit]]) {
    processors = scripts.enumerated().map { ScriptedCPU(UInt32($0), exits: $1) }
  }

  var virtualCPUs: [any VirtualCPU] { processors }
  func deliver(_ message: InterruptMessage) {}
  func externalInterruptsChanged() {}
  func raiseNonMaskableInterrupt() {}
}

/// Port 0x10 powers off, 0x11 resets, 0x12 reports a panic; reads give the port's number.
final class ScriptedBoard: MachineBoard, HypervisorCalls {
  let log = Monitor<[String]>([])

  private func note(_ text: String) { log.update { $0.append(text) } }

  func readPort(_ port: PortAddress, _ width: AccessWidth) -> UInt64 { UInt64(port.rawValue) }

  func writePort(_ port: PortAddress, _ width: AccessWidth, _ value: UInt32) -> MachineRequest {
    note("out \(port) \(value)")
    switch port.rawValue {
    case 0x10: return .powerOff
    case 0x11: return .reset
    case 0x12: return .reportGuestPanic
    default: return .none
    }
  }

  func readMemory(_ address: GuestPhysicalAddress, _ width: AccessWidth) -> UInt64 {
    width.allOnes
  }

  func writeMemory(
    _ address: GuestPhysicalAddress, _ width: AccessWidth, _ value: UInt64
  ) -> MachineRequest { .none }

  func readMSR(_ index: UInt32, on processor: VirtualCPUIndex) -> UInt64? {
    index == 0x11 ? 7 : nil
  }

  func writeMSR(_ index: UInt32, _ value: UInt64, on processor: VirtualCPUIndex) -> Bool {
    index == 0x11
  }

  func hypercall(
    number: UInt64, arguments: [UInt64], privilegeLevel: UInt8, is64Bit: Bool
  ) -> UInt64 { number &+ 1 }

  func endOfInterrupt(_ vector: InterruptVector) { note("eoi \(vector.rawValue)") }
  func pressPowerButton() { note("power button") }
  func connect() { note("connect") }
  func disconnect() { note("disconnect") }
}

/// A machine whose engine plays one script after the other, one per power cycle.
struct ScriptedMachine {
  let machine: VirtualMachine
  let board = ScriptedBoard()
  let engines: [ScriptedEngine]

  /// - Parameter cycles: for each power cycle, for each CPU, its exits.
  init(onReset: ResetAction = .stop, _ cycles: [[VMExit]]...) throws {
    let engines = cycles.map(ScriptedEngine.init)
    self.engines = engines
    let rest = Monitor(engines)
    let board = board
    var configuration = VirtualMachineConfiguration()
    configuration.bootLoader = LinuxBootLoader(kernelURL: URL(fileURLWithPath: "/k"))
    configuration.onReset = onReset
    machine = try VirtualMachine(configuration: configuration) { _ in
      guard let engine = rest.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) else {
        throw EngineFailure.unavailable(reason: "no script is left")
      }
      return MachineParts(
        engine: engine, board: board, hypervisor: board, clock: try RealTimeClock())
    }
  }

  func run() async throws -> ExitReason {
    try await machine.start()
    return await machine.waitUntilStopped()
  }
}

extension VMExit {
  static func out(_ port: UInt16, _ value: UInt32 = 0) -> VMExit {
    .portWrite(PortAddress(port), .byte, value)
  }
}
