import Testing

@testable import RoostMetadata

@Suite struct SortedMapTests {
  @Test func behavesAsADictionaryWithOrder() {
    var generator = SystemRandomNumberGenerator()
    var map = SortedMap<Int, Int>()
    var plain: [Int: Int] = [:]
    for step in 0..<5000 {
      let key = Int.random(in: 0..<700, using: &generator)
      switch step % 4 {
      case 0:
        map[key] = nil
        plain[key] = nil
      case 1:
        let a: Void? = map.update(key) { $0 += 1 }
        let b: Void? = plain[key].map { plain[key] = $0 + 1 }
        #expect((a == nil) == (b == nil))
      default:
        map[key] = step
        plain[key] = step
      }
    }
    #expect(map.count == plain.count)
    #expect(map.keys == plain.keys.sorted())
    for (key, value) in plain { #expect(map[key] == value) }
    for start in stride(from: -1, to: 702, by: 13) {
      #expect(map.entries(from: start).map(\.key) == plain.keys.filter { $0 >= start }.sorted())
    }
  }

  @Test func copiesDoNotSeeEachOther() {
    var a = SortedMap<Int, [Int]>()
    for key in 0..<1000 { a[key] = [key] }
    var b = a
    b[500] = nil
    b.update(501) { $0.append(1) }
    b[2000] = []
    #expect(a[500] == [500])
    #expect(a[501] == [501])
    #expect(a.count == 1000)
    #expect(b[500] == nil)
    #expect(b[501] == [501, 1])
    #expect(b.count == 1000)
    #expect(a != b)
  }
}
