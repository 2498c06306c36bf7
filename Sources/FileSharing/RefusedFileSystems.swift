/// File systems that are not shared where they are mounted within a folder: through their files the kernel and
/// its processes are controlled, this one among them. By their magic numbers (include/uapi/linux/magic.h).
enum RefusedFileSystems {
  private static let types: Set<UInt64> = [
    0x9FA0,  // proc
    0x6265_6572,  // sysfs
    0x6462_6720,  // debugfs
    0x7472_6163,  // tracefs
    0x7363_6673,  // securityfs
    0xF97C_FF8C,  // selinuxfs
    0x4341_5D53,  // smackfs
    0x5A3C_69F0,  // apparmorfs
    0x27_E0EB,  // cgroup
    0x6367_7270,  // cgroup2
    0xCAFE_4A11,  // bpf
    0x6265_6570,  // configfs
    0xDE5E_81E4,  // efivarfs
    0x6165_676C,  // pstore
    0x4249_4E4D,  // binfmt_misc
    0x6573_5543,  // fusectl
    0x1CD1,  // devpts
    0x6E73_6673,  // nsfs
  ]

  static func contains(_ type: UInt64) -> Bool { types.contains(type) }
}
