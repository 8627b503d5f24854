import RoostBase
import Testing

@testable import RoostBroker

@Suite struct TopicIndexTests {
  @Test func findsEveryTopicByNameAndIdAndNoOther() {
    var generator = SystemRandomNumberGenerator()
    let topics = (0..<500).map { n in
      Topic(
        name: "topic-with-a-long-name-\(n)", id: .random(using: &generator),
        settings: TopicSettings(), partitions: [])
    }
    let index = TopicIndex(topics)
    for topic in topics {
      #expect(index.find(name: topic.name) === topic)
      #expect(index.find(id: topic.id) === topic)
    }
    #expect(index.find(name: "topic-with-a-long-name-500") == nil)
    #expect(index.find(name: "") == nil)
    #expect(index.find(id: .random(using: &generator)) == nil)
  }

  @Test func anEmptyIndexFindsNothing() {
    #expect(TopicIndex.empty.find(name: "a") == nil)
    #expect(TopicIndex.empty.find(id: .zero) == nil)
  }
}
