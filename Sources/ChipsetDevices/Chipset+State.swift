public import DeviceModel

extension Chipset {
  /// The state of all devices.
  public struct State: Codable, Equatable, Sendable {
    var legacyInterrupts: PIC8259Pair.State
    var ioAPIC: IOAPIC.State
    var pit: PIT8254.State
    var rtc: RTCMOS.State
    var keyboardController: I8042.State
    var powerManagement: ACPIPowerManagement.State
    var systemControlPortA: SystemControlPortA.State
    var resetControl: ResetControl.State
    var postCode: POSTCodePort.State
    var panicPort: PanicPort.State?
    var hpet: HPET.State?
    var serialPorts: [COMPort: SerialPort.State]
  }

  /// Only while no virtual CPU runs and no input comes in.
  public func save() -> State {
    State(
      legacyInterrupts: legacyInterrupts.device.withDevice { $0.save() },
      ioAPIC: ioAPIC.withDevice { $0.save() },
      pit: pit.withDevice { $0.save() },
      rtc: rtc.withDevice { $0.save() },
      keyboardController: keyboardController.withDevice { $0.save() },
      powerManagement: powerManagement.withDevice { $0.save() },
      systemControlPortA: systemControlPortA.withDevice { $0.save() },
      resetControl: resetControl.withDevice { $0.save() },
      postCode: postCode.withDevice { $0.save() },
      panicPort: panicPort?.withDevice { $0.save() },
      hpet: hpet?.withDevice { $0.save() },
      serialPorts: serialPorts.mapValues { $0.withDevice { $0.save() } })
  }

  /// Restores a state of a chipset with the same configuration, on a clock that shows the time of its
  /// saving. After an error the chipset is of no use until it is reset.
  public func restore(_ state: State) throws(RestoreError) {
    guard (state.hpet != nil) == (hpet != nil), (state.panicPort != nil) == (panicPort != nil),
      Set(state.serialPorts.keys) == Set(serialPorts.keys)
    else { throw RestoreError(device: "chipset", reason: "other devices than this machine has") }
    try restore(state.pit, to: pit)
    try restore(state.rtc, to: rtc)
    try restore(state.keyboardController, to: keyboardController)
    try restore(state.powerManagement, to: powerManagement)
    try restore(state.systemControlPortA, to: systemControlPortA)
    try restore(state.resetControl, to: resetControl)
    try restore(state.postCode, to: postCode)
    if let saved = state.panicPort, let panicPort { try restore(saved, to: panicPort) }
    if let saved = state.hpet, let hpet { try restore(saved, to: hpet) }
    for (name, port) in serialPorts {
      if let saved = state.serialPorts[name] { try restore(saved, to: port) }
    }
    // The interrupt controllers come last: devices may have moved their lines above.
    try restore(state.legacyInterrupts, to: legacyInterrupts.device)
    try restore(state.ioAPIC, to: ioAPIC)
  }

  private func restore<Device: SavableDevice>(
    _ state: Device.State, to device: AttachedDevice<Device>
  ) throws(RestoreError) {
    try device.withDevice { (device) throws(RestoreError) in try device.restore(state) }
  }
}
