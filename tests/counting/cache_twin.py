"""The cache simulator once more, by brute force: lists, dictionaries, and searches everywhere."""

from workbench.counting import Geometry


class Twin:
    """A level holds, for each set, a list of ways; a way is None or [line, last use, dirty, fresh]."""

    def __init__(self, geometry: Geometry, lines: int) -> None:
        self.geometry, self.lines, self.time, self.random = geometry, lines, 0, 0x2545F491
        self.sets = [
            [[None] * geometry.ways(level) for _ in range(geometry.sets(level))] for level in geometry.levels
        ]
        self.trees = [[{} for _ in level] for level in self.sets]
        n = len(geometry.levels)
        self.misses, self.writebacks, self.prefetches = [0] * n, [0] * n, [0] * n
        self.kinds = [{"compulsory": 0, "capacity": 0, "conflict": 0} for _ in range(n)]
        self.shadows, self.seen = [[] for _ in range(n)], [set() for _ in range(n)]
        self.unkept, self.history = 0, []

    def find(self, number, line):
        ways = self.sets[number][line % len(self.sets[number])]
        return next((way for way in ways if way and way[0] == line), None)

    def access(self, address: int, store: bool) -> None:
        self.time += 1
        line = address // self.geometry.line
        self.history.append(line)
        levels = self.geometry.levels
        found, ahead = len(levels), False
        for number, level in enumerate(levels):
            kind = self.shadow(number, line, level.write_allocate or not store)
            if way := self.find(number, line):
                self.use(number, way)
                found, ahead, way[3] = number, way[3], False
                break
            self.misses[number] += 1
            self.kinds[number][kind] += 1
        for number in reversed(range(found)):
            if levels[number].write_allocate or not store:
                self.fill(number, line)
        if store:
            self.unkept += not self.write(0, line)
        for number in range(min(found + 1, len(levels))):
            if levels[number].prefetch and (number < found or ahead) and line + 1 < self.lines:
                self.prefetch(number, line + 1)

    def shadow(self, number, line, allocate):
        held, seen = self.shadows[number], self.seen[number]
        kind = "compulsory" if line not in seen else "conflict" if line in held else "capacity"
        seen.add(line)
        if line in held:
            held.remove(line)
            held.append(line)
        elif allocate:
            held.append(line)
            if len(held) > self.geometry.levels[number].size // self.geometry.line:
                held.pop(0)
        return kind

    def use(self, number, way):
        way[1] = self.time
        ways = self.sets[number][way[0] % len(self.sets[number])]
        tree = self.trees[number][way[0] % len(self.sets[number])]
        low, high, path = 0, len(ways), ""
        position = next(n for n, other in enumerate(ways) if other is way)
        while high - low > 1:  # every branch on the way now points to the other side
            middle = (low + high) // 2
            right = position >= middle
            tree[path] = not right
            path += "r" if right else "l"
            low, high = (middle, high) if right else (low, middle)

    def fill(self, number, line):
        ways = self.sets[number][line % len(self.sets[number])]
        tree = self.trees[number][line % len(self.sets[number])]
        policy = self.geometry.levels[number].policy
        if None in ways:
            position = ways.index(None)
        elif policy == "lru":
            position = min(range(len(ways)), key=lambda n: ways[n][1])
        elif policy == "random":
            self.random ^= (self.random << 13) % 2**32
            self.random ^= self.random >> 17
            self.random ^= (self.random << 5) % 2**32
            position = self.random % len(ways)
        else:
            low, high, path = 0, len(ways), ""
            while high - low > 1:
                right = tree.get(path, False)
                path += "r" if right else "l"
                low, high = ((low + high) // 2, high) if right else (low, (low + high) // 2)
            position = low
        if ways[position]:
            self.evict(number, ways, position)
        ways[position] = [line, self.time, False, False]
        self.use(number, ways[position])

    def evict(self, number, ways, position):
        line, _, dirty, _ = ways[position]
        ways[position] = None
        if self.geometry.levels[number].inclusive:
            for inner in range(number):
                for others in self.sets[inner]:
                    for n, other in enumerate(others):
                        if other and other[0] == line:
                            dirty, others[n] = dirty or other[2], None
        if dirty:
            self.writebacks[number] += 1
            self.write(number + 1, line)

    def write(self, number, line):
        for outer in range(number, len(self.sets)):
            if way := self.find(outer, line):
                way[2] = True
                return True
        return False

    def prefetch(self, number, line):
        for outer in reversed(range(number, len(self.sets))):
            wanted = outer == number or self.geometry.levels[outer].inclusive
            if wanted and not self.find(outer, line):
                self.fill(outer, line)
                self.find(outer, line)[3] = True
                self.prefetches[outer] += 1

    def reuse(self) -> tuple[dict[int, int], int]:
        """How often each distance occurs, and the number of first accesses."""
        counts, cold, last = {}, 0, {}
        for n, line in enumerate(self.history):
            if line in last:
                distance = len(set(self.history[last[line] + 1 : n]))
                counts[distance] = counts.get(distance, 0) + 1
            else:
                cold += 1
            last[line] = n
        return counts, cold
