"""First: is the shipped number the product of the two numbers?"""

from course.checks import Question, answer, expect

question = Question("First", points=2)


@question.check(points=1)
def is_a_whole_number() -> None:
    """first is a whole number"""
    expect(answer("first"), "first").is_instance(int)


### BEGIN HIDDEN TESTS
@question.check(points=1, needs=is_a_whole_number, hidden=True, hint="a product is what `*` gives")
def is_the_product() -> None:
    """first is the product of both numbers"""
    expect(answer("first"), "first").equals(42)


### END HIDDEN TESTS
