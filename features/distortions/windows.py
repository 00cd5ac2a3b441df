"""Parts of a picture: what is computed of it, and what that depends on."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """The pixels [top, bottom) x [left, right) of a picture."""

    top: int
    left: int
    bottom: int
    right: int

    @classmethod
    def whole(cls, shape: tuple[int, ...]) -> "Window":
        """Return all of a picture of shape (height, width, ...)."""
        return cls(0, 0, *shape[:2])

    @property
    def height(self) -> int:
        """Rows."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Columns."""
        return self.right - self.left

    @property
    def area(self) -> int:
        """Pixels."""
        return self.height * self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """What cuts it out of an array."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def doubled(self) -> "Window":
        """It in the picture of twice the size."""
        return Window(2 * self.top, 2 * self.left, 2 * self.bottom, 2 * self.right)

    @property
    def halved(self) -> "Window":
        """It in the picture of half the size."""
        return Window(self.top // 2, self.left // 2, self.bottom // 2, self.right // 2)

    def grown(self, reach: int, shape: tuple[int, ...], grid: int = 1) -> "Window":
        """Return it with `reach` more pixels on each side and its sides on the lines of a grid.

        It ends where a picture of shape (height, width, ...) does.
        """
        height, width = shape[:2]
        return Window(
            max(0, (self.top - reach) // grid * grid),
            max(0, (self.left - reach) // grid * grid),
            min(height, -(-(self.bottom + reach) // grid) * grid),
            min(width, -(-(self.right + reach) // grid) * grid),
        )

    def seen_from(self, other: "Window") -> "Window":
        """Return it in coordinates that begin at the corner of another."""
        top, left = other.top, other.left
        return Window(self.top - top, self.left - left, self.bottom - top, self.right - left)

    def common(self, other: "Window") -> "Window | None":
        """Return what both cover, None where that is nothing."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        bottom, right = min(self.bottom, other.bottom), min(self.right, other.right)
        return Window(top, left, bottom, right) if top < bottom and left < right else None

    def joined(self, other: "Window") -> "Window":
        """Return the smallest that covers both."""
        top, left = min(self.top, other.top), min(self.left, other.left)
        return Window(top, left, max(self.bottom, other.bottom), max(self.right, other.right))
