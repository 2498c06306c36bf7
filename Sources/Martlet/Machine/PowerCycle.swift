import DeviceModel
import EngineInterface
import HostSystem
import MachineTypes
import Synchronization
import X86

/// One life of a machine, from power-on to power-off or reset: the virtual CPUs' threads and what
/// stops them.
final class PowerCycle: Sendable {
  private struct Control {
    var isPauseWanted = false
    /// Threads that wait out a pause, or have ended.
    var restingCount = 0
    var outcome: ExitReason?
  }

  private let engine: any Engine
  private let board: any MachineBoard
  private let hypervisor: any HypervisorCalls
  private let clock: RealTimeClock
  private let control = Monitor(Control())
  /// Set when threads must look at `control` before they run the guest again.
  private let attention = Atomic<Bool>(false)

  init(_ parts: MachineParts) {
    engine = parts.engine
    board = parts.board
    hypervisor = parts.hypervisor
    clock = parts.clock
  }

  /// Runs the machine until it ends. Blocks.
  func run() -> ExitReason {
    do {
      try board.connect()
      defer { board.disconnect() }
      if control.withLock({ !$0.isPauseWanted }) { clock.resume() }
      defer { clock.shutDown() }
      let threads = startThreads()
      for thread in threads { thread.join() }
    } catch {
      end(.hostError("\(error)"))
    }
    return control.withLock { $0.outcome } ?? .stopped
  }

  /// Stops all virtual CPUs and the clock; returns when they rest.
  func pause() {
    control.update { $0.isPauseWanted = true }
    callForAttention()
    let count = engine.virtualCPUs.count
    control.wait { $0.restingCount >= count || $0.outcome != nil ? () : nil }
    clock.pause()
  }

  /// Makes a machine that was not run yet start paused.
  func holdBack() {
    control.update { $0.isPauseWanted = true }
    attention.store(true, ordering: .releasing)
  }

  func resume() {
    clock.resume()
    control.update { $0.isPauseWanted = false }
  }

  /// Ends the machine; the first reason counts.
  func end(_ reason: ExitReason) {
    control.update { control in
      if control.outcome == nil { control.outcome = reason }
    }
    callForAttention()
  }

  /// What the engine counted, once the machine has ended.
  var statistics: ExecutionStatistics {
    engine.virtualCPUs.reduce(into: ExecutionStatistics()) { $0 += $1.statistics }
  }

  func pressPowerButton() { board.pressPowerButton() }

  var memoryBalloon: MemoryBalloon? { board.memoryBalloon }

  func storage(_ number: Int) -> StorageLink? { board.storage(number) }

  private func callForAttention() {
    attention.store(true, ordering: .releasing)
    for processor in engine.virtualCPUs { processor.kick() }
  }

  private func startThreads() -> [HostThread] {
    var threads: [HostThread] = []
    for processor in engine.virtualCPUs {
      do {
        let thread = try HostThread(
          name: "vcpu\(processor.index.rawValue)", stackByteCount: 8 << 20
        ) { self.run(processor) }
        threads.append(thread)
      } catch {
        end(.hostError("a thread for a virtual CPU cannot be started: \(error)"))
      }
    }
    return threads
  }

  private func run(_ processor: any VirtualCPU) {
    do {
      var entry = VMEntry.resume
      while passesCheckpoint() {
        let exit = try processor.run(entry)
        entry = try answer(exit, on: processor)
      }
    } catch {
      end(.hostError(error.description))
    }
    control.update { $0.restingCount += 1 }
  }

  /// Waits out a pause; `false` when the machine ends.
  private func passesCheckpoint() -> Bool {
    guard attention.load(ordering: .acquiring) else { return true }
    control.update { $0.restingCount += 1 }
    let goesOn: Bool = control.wait { control in
      if control.outcome != nil { return false }
      return control.isPauseWanted ? nil : true
    }
    control.withLock { control in
      control.restingCount -= 1
      // Cleared under the lock, so that no call that came meanwhile is lost.
      if goesOn && control.outcome == nil && !control.isPauseWanted {
        attention.store(false, ordering: .releasing)
      }
    }
    return goesOn
  }

  private func answer(
    _ exit: VMExit, on processor: any VirtualCPU
  ) throws(EngineFailure) -> VMEntry {
    switch exit {
    case .portRead(let port, let width):
      return .completeRead(board.readPort(port, width))
    case .portWrite(let port, let width, let value):
      fulfil(board.writePort(port, width, value))
    case .mmioRead(let address, let width):
      return .completeRead(board.readMemory(address, width))
    case .mmioWrite(let address, let width, let value):
      fulfil(board.writeMemory(address, width, value))
    case .msrRead(let index):
      guard let value = hypervisor.readMSR(index.rawValue, on: processor.index) else {
        return .injectGeneralProtection
      }
      return .completeRead(value)
    case .msrWrite(let index, let value):
      if !hypervisor.writeMSR(index.rawValue, value, on: processor.index) {
        return .injectGeneralProtection
      }
    case .hypercall(let call):
      return .completeRead(
        hypervisor.hypercall(
          number: call.number, arguments: call.arguments, privilegeLevel: call.privilegeLevel,
          is64Bit: call.is64Bit))
    case .endOfInterrupt(let vector):
      board.endOfInterrupt(vector)
    case .halt:
      processor.waitForEvent()
    case .shutdown:
      let state = try processor.saveState()
      end(.tripleFault(RegisterDump(processor: Int(processor.index.rawValue), state: state)))
    case .interrupted, .budgetExhausted, .debug:
      break
    }
    return .resume
  }

  private func fulfil(_ request: MachineRequest) {
    switch request {
    case .none, .reportGuestCrashLoaded: break
    case .powerOff: end(.poweredOff)
    case .reset: end(.reset)
    case .reportGuestPanic: end(.guestPanic)
    }
  }
}
