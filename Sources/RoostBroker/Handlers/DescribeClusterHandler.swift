internal import RoostBase
internal import RoostMessages
internal import RoostMetadata

/// DescribeCluster (key 60): cluster id and brokers (KIP-700, KIP-919, KIP-1073).
enum DescribeClusterHandler: ApiHandler {
  typealias Request = DescribeClusterRequest
  static let versions: ClosedRange<Int16> = 0...2
  static func shape(_ version: Int16) -> RequestShape {
    RequestShape(
      isFlexible: true,
      [])
  }

  private static let brokers: Int8 = 1
  private static let controllers: Int8 = 2

  static func handle(_ request: DescribeClusterRequest, _ call: Call, _ broker: Broker) {
    var response = DescribeClusterResponse()
    guard request.endpointType == brokers else {
      let isController = request.endpointType == controllers
      response.errorCode =
        (isController ? ErrorCode.mismatchedEndpointType : .unsupportedEndpointType).rawValue
      response.errorMessage =
        isController
        ? "Brokers answer here; ask a coordinator for coordinators."
        : "There is no endpoint type \(request.endpointType)."
      call.answer(response)
      return
    }
    let image = broker.metadata.image
    response.clusterId = image.clusterId ?? ""
    response.controllerId = ClusterView.controllerId(image, own: broker.id)
    response.brokers = ClusterView.brokers(
      image, listener: call.listener, withFenced: request.includeFencedBrokers
    ).map { node in
      var broker = DescribeClusterResponse.DescribeClusterBroker()
      broker.brokerId = node.id
      broker.host = node.host
      broker.port = node.port
      broker.rack = node.rack
      if call.version >= 2 { broker.isFenced = image.brokers[node.id]?.isFenced ?? false }
      return broker
    }
    if request.includeClusterAuthorizedOperations {
      response.clusterAuthorizedOperations = AuthorizedOperations.cluster
    }
    call.answer(response)
  }
}
