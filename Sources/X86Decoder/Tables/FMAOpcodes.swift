extension OpcodeSection {
  /// FMA3.
  static let fusedMultiplyAdd = OpcodeSection(
    .fma, .avx, encoding: .vex,
    rows: """
      0F3896 66.W0 . vfmaddsub132ps Vx,Hx,Wx    x xm
      0F3896 66.W1 . vfmaddsub132pd Vx,Hx,Wx    x xm
      0F3897 66.W0 . vfmsubadd132ps Vx,Hx,Wx    x xm
      0F3897 66.W1 . vfmsubadd132pd Vx,Hx,Wx    x xm
      0F3898 66.W0 . vfmadd132ps    Vx,Hx,Wx    x xm
      0F3898 66.W1 . vfmadd132pd    Vx,Hx,Wx    x xm
      0F3899 66.W0 . vfmadd132ss    Vdq,Hdq,Wss x xm
      0F3899 66.W1 . vfmadd132sd    Vdq,Hdq,Wsd x xm
      0F389A 66.W0 . vfmsub132ps    Vx,Hx,Wx    x xm
      0F389A 66.W1 . vfmsub132pd    Vx,Hx,Wx    x xm
      0F389B 66.W0 . vfmsub132ss    Vdq,Hdq,Wss x xm
      0F389B 66.W1 . vfmsub132sd    Vdq,Hdq,Wsd x xm
      0F389C 66.W0 . vfnmadd132ps   Vx,Hx,Wx    x xm
      0F389C 66.W1 . vfnmadd132pd   Vx,Hx,Wx    x xm
      0F389D 66.W0 . vfnmadd132ss   Vdq,Hdq,Wss x xm
      0F389D 66.W1 . vfnmadd132sd   Vdq,Hdq,Wsd x xm
      0F389E 66.W0 . vfnmsub132ps   Vx,Hx,Wx    x xm
      0F389E 66.W1 . vfnmsub132pd   Vx,Hx,Wx    x xm
      0F389F 66.W0 . vfnmsub132ss   Vdq,Hdq,Wss x xm
      0F389F 66.W1 . vfnmsub132sd   Vdq,Hdq,Wsd x xm
      0F38A6 66.W0 . vfmaddsub213ps Vx,Hx,Wx    x xm
      0F38A6 66.W1 . vfmaddsub213pd Vx,Hx,Wx    x xm
      0F38A7 66.W0 . vfmsubadd213ps Vx,Hx,Wx    x xm
      0F38A7 66.W1 . vfmsubadd213pd Vx,Hx,Wx    x xm
      0F38A8 66.W0 . vfmadd213ps    Vx,Hx,Wx    x xm
      0F38A8 66.W1 . vfmadd213pd    Vx,Hx,Wx    x xm
      0F38A9 66.W0 . vfmadd213ss    Vdq,Hdq,Wss x xm
      0F38A9 66.W1 . vfmadd213sd    Vdq,Hdq,Wsd x xm
      0F38AA 66.W0 . vfmsub213ps    Vx,Hx,Wx    x xm
      0F38AA 66.W1 . vfmsub213pd    Vx,Hx,Wx    x xm
      0F38AB 66.W0 . vfmsub213ss    Vdq,Hdq,Wss x xm
      0F38AB 66.W1 . vfmsub213sd    Vdq,Hdq,Wsd x xm
      0F38AC 66.W0 . vfnmadd213ps   Vx,Hx,Wx    x xm
      0F38AC 66.W1 . vfnmadd213pd   Vx,Hx,Wx    x xm
      0F38AD 66.W0 . vfnmadd213ss   Vdq,Hdq,Wss x xm
      0F38AD 66.W1 . vfnmadd213sd   Vdq,Hdq,Wsd x xm
      0F38AE 66.W0 . vfnmsub213ps   Vx,Hx,Wx    x xm
      0F38AE 66.W1 . vfnmsub213pd   Vx,Hx,Wx    x xm
      0F38AF 66.W0 . vfnmsub213ss   Vdq,Hdq,Wss x xm
      0F38AF 66.W1 . vfnmsub213sd   Vdq,Hdq,Wsd x xm
      0F38B6 66.W0 . vfmaddsub231ps Vx,Hx,Wx    x xm
      0F38B6 66.W1 . vfmaddsub231pd Vx,Hx,Wx    x xm
      0F38B7 66.W0 . vfmsubadd231ps Vx,Hx,Wx    x xm
      0F38B7 66.W1 . vfmsubadd231pd Vx,Hx,Wx    x xm
      0F38B8 66.W0 . vfmadd231ps    Vx,Hx,Wx    x xm
      0F38B8 66.W1 . vfmadd231pd    Vx,Hx,Wx    x xm
      0F38B9 66.W0 . vfmadd231ss    Vdq,Hdq,Wss x xm
      0F38B9 66.W1 . vfmadd231sd    Vdq,Hdq,Wsd x xm
      0F38BA 66.W0 . vfmsub231ps    Vx,Hx,Wx    x xm
      0F38BA 66.W1 . vfmsub231pd    Vx,Hx,Wx    x xm
      0F38BB 66.W0 . vfmsub231ss    Vdq,Hdq,Wss x xm
      0F38BB 66.W1 . vfmsub231sd    Vdq,Hdq,Wsd x xm
      0F38BC 66.W0 . vfnmadd231ps   Vx,Hx,Wx    x xm
      0F38BC 66.W1 . vfnmadd231pd   Vx,Hx,Wx    x xm
      0F38BD 66.W0 . vfnmadd231ss   Vdq,Hdq,Wss x xm
      0F38BD 66.W1 . vfnmadd231sd   Vdq,Hdq,Wsd x xm
      0F38BE 66.W0 . vfnmsub231ps   Vx,Hx,Wx    x xm
      0F38BE 66.W1 . vfnmsub231pd   Vx,Hx,Wx    x xm
      0F38BF 66.W0 . vfnmsub231ss   Vdq,Hdq,Wss x xm
      0F38BF 66.W1 . vfnmsub231sd   Vdq,Hdq,Wsd x xm
      """)
}
