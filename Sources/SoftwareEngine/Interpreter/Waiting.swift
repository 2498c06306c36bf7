import CHost

extension CPU {
  /// PAUSE: a loop waits for another virtual CPU, whose thread may be waiting for this one's host processor, where virtual
  /// CPUs outnumber those. After some of them the thread lets others run.
  func pause() {
    chost_pause()
    if translation.pausesLeft > 1 {
      translation.pausesLeft &-= 1
    } else {
      translation.pausesLeft = TranslationState.pauseLimit
      chost_yield()
    }
  }
}
