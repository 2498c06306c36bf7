import DeviceModel
import GuestMemory

/// What the guest sends.
extension SocketDevice {
  mutating func takePackets(_ queues: inout VirtioQueues) throws(VirtioError) {
    // No more than the queue holds, so that this takes bounded time.
    for _ in 0..<queueSizes[Queue.transmit] {
      // The receive queue's notification looks again.
      guard outgoing.count < Self.mostOutgoing, let chain = try queues.next(Queue.transmit) else {
        break
      }
      let header = SocketHeader(try queues.read(chain.readable, limit: SocketHeader.byteCount))
      guard let header,
        chain.readable.byteCount - UInt64(SocketHeader.byteCount) >= UInt64(header.dataByteCount)
      else { throw .badRequest }
      var data: [UInt8] = []
      if header.dataByteCount > 0, header.dataByteCount <= Self.mostDataBytes {
        data = try queues.read(
          chain.readable.slice(from: UInt64(SocketHeader.byteCount)),
          limit: Int(header.dataByteCount))
      }
      take(header, data)
      try queues.complete(chain, of: Queue.transmit)
    }
    _ = try flush(&queues)
  }

  /// - Parameter data: none if there was too much of it.
  private mutating func take(_ header: SocketHeader, _ data: [UInt8]) {
    // A guest does not speak for others.
    guard header.sourceCID == guestCID else { return }
    let ports = SocketPorts(host: header.targetPort, guest: header.sourcePort)
    let isKnown = header.targetCID == Self.hostCID && header.type == SocketHeader.stream
    guard let operation = SocketHeader.Operation(rawValue: header.operation), isKnown,
      let number = numbers[ports]
    else {
      if isKnown, header.operation == SocketHeader.Operation.request.rawValue,
        numbers[ports] == nil
      {
        open(ports, header)
      } else {
        refuse(header)
      }
      return
    }
    update(number, header)
    switch operation {
    case .request: remove(number, tellsGuest: true)
    case .response: accept(number)
    case .reset: remove(number, tellsGuest: false)
    case .shutdown: shutDown(number, header)
    case .readWrite: pass(number, header, data)
    case .creditUpdate: break
    case .creditRequest: change(number) { $0.due.insert(.creditUpdate) }
    }
  }

  private mutating func refuse(_ header: SocketHeader) {
    // No answer to a reset, lest two sides answer each other for ever.
    if header.operation != SocketHeader.Operation.reset.rawValue {
      outgoing.append(.refusal(header.refusal))
    }
  }

  private mutating func open(_ ports: SocketPorts, _ header: SocketHeader) {
    guard connections.count < Self.mostConnections else { return refuse(header) }
    let number = SocketConnection(fromGuest: nextNumber)
    nextNumber &+= 1
    add(number, GuestConnection(ports, .opening))
    update(number, header)
    backend.open(number, port: ports.host)
  }

  /// The credit that comes with every packet.
  private mutating func update(_ number: SocketConnection, _ header: SocketHeader) {
    var resumes = false
    change(number) {
      $0.note(header)
      resumes = $0.isOutOfCredit && $0.credit > 0
      if resumes { $0.isOutOfCredit = false }
    }
    if resumes { backend.resume(number) }
  }

  private mutating func accept(_ number: SocketConnection) {
    guard let connection = connections[number], connection.phase == .offered else {
      return remove(number, tellsGuest: true)
    }
    change(number) { $0.phase = .established }
    backend.accept(number, hostPort: connection.ports.host)
  }

  private mutating func shutDown(_ number: SocketConnection, _ header: SocketHeader) {
    let directions = SocketDirections(rawValue: UInt8(header.flags & 3))
    guard connections[number]?.phase == .established else {
      return remove(number, tellsGuest: true)
    }
    change(number) { $0.guestEnded.formUnion(directions) }
    if connections[number]?.isOver == true {
      remove(number, tellsGuest: true)
    } else {
      backend.finish(number, directions)
    }
  }

  private mutating func pass(
    _ number: SocketConnection, _ header: SocketHeader, _ data: [UInt8]
  ) {
    var isAllowed = false
    var isWanted = false
    change(number) {
      isAllowed =
        $0.phase == .established && !$0.guestEnded.contains(.sending)
        && data.count == header.dataByteCount && $0.receive(header.dataByteCount)
      isWanted = !$0.hostEnded.contains(.receiving)
      // The guest may not have heard yet that nobody listens.
      if isAllowed, !isWanted { $0.forward(header.dataByteCount) }
    }
    guard isAllowed else { return remove(number, tellsGuest: true) }
    if isWanted, !data.isEmpty { backend.send(data, on: number) }
  }
}
