import KVMEngine

/// Whether this host offers an engine, and if not, why and what to do.
public struct EngineReport: Hashable, Sendable {
  /// `.software` or `.kvm`.
  public var engine: EngineChoice
  public var isAvailable: Bool
  public var explanation: String
  /// What the user can do about it; `nil` when there is nothing to do.
  public var advice: String?

  /// Looks at the host. Cheap and without side effects.
  public static func survey() -> [EngineReport] {
    [
      EngineReport(
        engine: .software, isAvailable: true,
        explanation: "Martlet's own engine runs on every x86-64 Linux host, without privileges."),
      EngineReport(kvm: KVMHost.probe()),
    ]
  }

  /// What `EngineChoice.automatic` stands for here, and why.
  public static func automaticChoice() -> (engine: EngineChoice, reason: String) {
    let report = KVMHost.probe()
    return report.isPreferred ? (.kvm, report.description) : (.software, report.description)
  }

  init(
    engine: EngineChoice, isAvailable: Bool, explanation: String, advice: String? = nil
  ) {
    self.engine = engine
    self.isAvailable = isAvailable
    self.explanation = explanation
    self.advice = advice
  }

  init(kvm report: KVMReport) {
    self.init(engine: .kvm, isAvailable: report.isUsable, explanation: report.description)
  }
}
