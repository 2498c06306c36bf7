/// Bit and field access by the bit numbers that manuals print.
extension FixedWidthInteger {
  /// The bit numbered `index`; bit 0 is the least significant.
  @inlinable
  public subscript(bit index: Int) -> Bool {
    get { (self &>> Self(truncatingIfNeeded: index)) & 1 != 0 }
    set {
      let mask: Self = 1 &<< Self(truncatingIfNeeded: index)
      self = newValue ? self | mask : self & ~mask
    }
  }

  /// The field that occupies `bits`, shifted down to bit 0. Writing drops what does not fit.
  @inlinable
  public subscript(bits bits: ClosedRange<Int>) -> Self {
    get {
      let width = bits.upperBound - bits.lowerBound + 1
      let mask: Self = width >= Self.bitWidth ? ~0 : (1 << width) - 1
      return (self >> bits.lowerBound) & mask
    }
    set {
      let width = bits.upperBound - bits.lowerBound + 1
      let mask: Self = width >= Self.bitWidth ? ~0 : (1 << width) - 1
      self = (self & ~(mask << bits.lowerBound)) | ((newValue & mask) << bits.lowerBound)
    }
  }

  /// This value rounded up to a multiple of `alignment`, a power of two; `nil` on overflow.
  @inlinable
  public func alignedUp(to alignment: Self) -> Self? {
    let (sum, overflow) = addingReportingOverflow(alignment - 1)
    return overflow ? nil : sum & ~(alignment - 1)
  }
}
