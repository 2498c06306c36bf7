extension OpcodeSection {
  /// BMI1 and BMI2: general registers under VEX.
  static let bitManipulation = OpcodeSection(
    .bmi1, encoding: .vex,
    rows: """
      0F38F2 NP.L0 .  andn   Gy,By,Ey w  wf
      0F38F3 NP.L0 /1 blsr   By,Ey    w  wf
      0F38F3 NP.L0 /2 blsmsk By,Ey    w  wf
      0F38F3 NP.L0 /3 blsi   By,Ey    w  wf
      0F38F7 NP.L0 .  bextr  Gy,Ey,By w  wf
      0F38F5 NP.L0 .  bzhi   Gy,Ey,By w  wf @bmi2
      0F38F5 F3.L0 .  pext   Gy,By,Ey w  @bmi2
      0F38F5 F2.L0 .  pdep   Gy,By,Ey w  @bmi2
      0F38F6 F2.L0 .  mulx   Gy,By,Ey ww @bmi2
      0F38F7 66.L0 .  shlx   Gy,Ey,By w  @bmi2
      0F38F7 F3.L0 .  sarx   Gy,Ey,By w  @bmi2
      0F38F7 F2.L0 .  shrx   Gy,Ey,By w  @bmi2
      0F3AF0 F2.L0 .  rorx   Gy,Ey,Ib w  @bmi2
      """)
}
