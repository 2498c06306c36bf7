import HostSystem

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
      EngineReport(hardware: HardwareVirtualization.probe()),
    ]
  }

  /// What `EngineChoice.automatic` stands for here, and why.
  public static func automaticChoice() -> (engine: EngineChoice, reason: String) {
    let hardware = HardwareVirtualization.probe()
    let report = EngineReport(hardware: hardware)
    guard report.isAvailable else { return (.software, report.explanation) }
    guard hardware == .available else {
      return (.software, "no hardware stands behind this host's KVM")
    }
    return (.kvm, report.explanation)
  }

  init(
    engine: EngineChoice, isAvailable: Bool, explanation: String, advice: String? = nil
  ) {
    self.engine = engine
    self.isAvailable = isAvailable
    self.explanation = explanation
    self.advice = advice
  }

  init(hardware: HardwareVirtualization) {
    switch hardware {
    case .available:
      self.init(
        engine: .kvm, isAvailable: true,
        explanation: "/dev/kvm can be used and the processor offers hardware virtualization.")
    case .withoutHardware:
      self.init(
        engine: .kvm, isAvailable: true,
        explanation: """
          /dev/kvm can be used, but the processor shows no hardware virtualization (vmx or svm): \
          KVM emulates it here, slowly and not completely.
          """,
        advice: "nothing, unless the host is itself a virtual machine: then enable nesting for it.")
    case .noDevice(let hasFeature):
      self.init(
        engine: .kvm, isAvailable: false,
        explanation: hasFeature
          ? "there is no /dev/kvm, though the processor offers hardware virtualization."
          : "there is no /dev/kvm, and the processor shows no hardware virtualization.",
        advice: hasFeature
          ? "load the module: modprobe kvm_intel or kvm_amd; in a container, pass /dev/kvm on."
          : """
          enable VT-x or AMD-V in the firmware's setup, or nested virtualization for this host; \
          until then use --engine software.
          """)
    case .noPermission:
      self.init(
        engine: .kvm, isAvailable: false,
        explanation: "/dev/kvm exists, but this user may not open it.",
        advice: "add the user to its group: sudo usermod -aG kvm $USER, then log in again.")
    case .failed(let error):
      self.init(
        engine: .kvm, isAvailable: false, explanation: "/dev/kvm cannot be used: \(error).",
        advice: "see the host kernel's log: sudo dmesg | grep -i kvm")
    }
  }
}
